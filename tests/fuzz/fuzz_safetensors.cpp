// Any bytes are either a header whose tensors cover the data exactly, each with the bytes of its shape,
// or Error{corrupt} with a message of a few lines that steers no terminal. Every sound header can be laid out so that
// all of its tensors are aligned, and says the same then.
#include <cstdint>
#include <cstdlib>

#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/model/internal/aligned_layout.h"
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
    const model::internal::AlignedLayout layout = model::internal::align_layout(header, 64, "input");
    const auto* head = reinterpret_cast<const std::uint8_t*>(layout.head.data());
    const model::SafetensorsHeader aligned =
        model::parse_safetensors({head, layout.head.size()}, layout.head.size() + covered, "aligned");
    require(aligned.data_offset % 64 == 0 && aligned.tensors.size() == header.tensors.size());
    require(aligned.metadata == header.metadata && aligned.has_metadata == header.has_metadata);
    for (const model::Tensor& tensor : header.tensors) {
      const model::Tensor* moved = aligned.find(tensor.name);
      require(moved != nullptr && moved->dtype == tensor.dtype && moved->shape == tensor.shape);
      require(moved->bytes() == tensor.bytes() && aligned.is_aligned(*moved));
    }
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
