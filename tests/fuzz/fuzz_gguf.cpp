// Any bytes are either a GGUF header whose tensors and arrays lie within the file, or Error{corrupt}.
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "reef/core/error.h"
#include "reef/model/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reef;
  const auto require = [](bool truth) {
    if (!truth) std::abort();
  };
  try {
    std::vector<std::pair<std::string, model::GgufHeader>> files;
    files.emplace_back("m-00001-of-00001.gguf", model::parse_gguf({data, size}, size, "input"));
    const model::GgufHeader& header = files.front().second;
    std::uint64_t covered = 0;
    for (const model::GgufTensor& tensor : header.tensors) {
      require(tensor.begin >= covered && tensor.begin - covered < header.alignment && tensor.end >= tensor.begin);
      require(tensor.begin % header.alignment == 0);
      require(header.find(tensor.name) == &tensor);
      std::uint64_t elements = 1;
      for (const std::uint64_t extent : tensor.shape) elements *= extent;
      require(tensor.elements() == elements);
      covered = tensor.end;
    }
    require(covered <= header.data_bytes);
    require(header.data_offset + header.data_bytes + header.trailing_bytes == size);
    for (const auto& [key, value] : header.metadata) {
      require(header.value(key) == &value);
      require(value.as_string() != nullptr || !value.to_text().empty());
      if (const auto* array = std::get_if<model::GgufArray>(&value.value)) {
        require(array->begin <= array->end && array->end <= size && array->count <= array->end - array->begin);
      }
    }
    model::check_gguf_parts(files);
  } catch (const Error& e) {
    require(e.code() == Errc::corrupt);
  }
  return 0;
}
