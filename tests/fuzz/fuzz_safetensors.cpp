// Any bytes are either a header whose tensors cover the data exactly, each with the bytes of its shape,
// or Error{corrupt} with a message of a few lines that steers no terminal.
#include <cstdint>
#include <cstdlib>

#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reef;
  const auto require = [](bool truth) {
    if (!truth) std::abort();
  };
  const auto require_refusal = [&](const Error& e) {
    const std::string_view message = e.what();
    require(e.code() == Errc::corrupt && message.size() < 1000 && printable(message) == message);
  };
  try {
    const model::SafetensorsHeader header = model::parse_safetensors({data, size}, size, "input");
    std::uint64_t covered = 0;
    for (const model::Tensor& tensor : header.tensors) {
      require(tensor.begin == covered && tensor.end >= tensor.begin);
      require(header.find(tensor.name) == &tensor);
      std::uint64_t elements = 1;
      for (const std::uint64_t dimension : tensor.shape) elements *= dimension;
      require(elements == tensor.elements() && elements * dtype_bits(tensor.dtype) == tensor.bytes() * 8);
      covered = tensor.end;
    }
    require(header.data_offset + covered == size);
  } catch (const Error& e) {
    require_refusal(e);
  }
  try {
    const auto index = model::parse_shard_index({reinterpret_cast<const char*>(data), size}, "input");
    require(index.files().size() <= index.entries.size());
  } catch (const Error& e) {
    require_refusal(e);
  }
  return 0;
}
