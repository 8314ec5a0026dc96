#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/extract.h"

namespace reef::model {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

/// "384 x 1536", and "scalar" for a tensor without dimensions.
std::string shape_text(const std::vector<std::uint64_t>& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, " x "));
}

}  // namespace

std::string to_json(const ExtractedTensor& extracted) {
  return dump({{"schema", "reef.model.extract/1"},
               {"name", extracted.model},
               {"file", extracted.file},
               {"tensor", extracted.tensor},
               {"slice", text_or_null(extracted.slice)},
               {"dtype", extracted.dtype},
               {"tensor_shape", extracted.tensor_shape},
               {"shape", extracted.shape},
               {"output", extracted.output.string()},
               {"format", extracted.npy_type.empty() ? "raw" : "npy"},
               {"npy_type", text_or_null(extracted.npy_type)},
               {"converted_to", text_or_null(extracted.conversion)},
               {"bytes_read", extracted.bytes_read},
               {"bytes_written", extracted.bytes_written}});
}

std::string to_text(const ExtractedTensor& extracted) {
  std::string as;
  if (extracted.conversion == "float32") as = " as float32 (exact)";
  if (extracted.conversion == "uint8") as = " as uint8, the bytes as they are";
  return printable(fmt::format("wrote {}: {}{}, {} {}{}, {}", io::shown(extracted.output), extracted.tensor,
                               extracted.slice, extracted.dtype, shape_text(extracted.shape), as,
                               format_size(extracted.bytes_written))) +
         "\n";
}

}  // namespace reef::model
