// Any bytes are either a header whose tensors cover the data exactly, or Error{corrupt}.
#include <cstdint>
#include <cstdlib>

#include "reef/core/error.h"
#include "reef/model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reef;
  const auto require = [](bool truth) {
    if (!truth) std::abort();
  };
  try {
    const model::SafetensorsHeader header = model::parse_safetensors({data, size}, size, "input");
    std::uint64_t covered = 0;
    for (const model::Tensor& tensor : header.tensors) {
      require(tensor.begin == covered && tensor.end >= tensor.begin);
      require(header.find(tensor.name) == &tensor);
      covered = tensor.end;
    }
    require(header.data_offset + covered == size);
  } catch (const Error& e) {
    require(e.code() == Errc::corrupt);
  }
  try {
    const auto index = model::parse_shard_index({reinterpret_cast<const char*>(data), size}, "input");
    require(index.files().size() <= index.entries.size());
  } catch (const Error& e) {
    require(e.code() == Errc::corrupt);
  }
  return 0;
}
