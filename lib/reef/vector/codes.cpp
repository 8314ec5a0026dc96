#include "reef/vector/codes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/vector/internal/npy_format.h"
#include "reef/vector/internal/rounding.h"
#include "reef/vector/internal/small_file.h"
#include "reef/vector/npy.h"

namespace reef::vector {
namespace {

constexpr float kLargestCode = 127;

}  // namespace

std::string codes_descr(std::size_t dim) { return fmt::format("[('scale', '<f4'), ('code', '|i1', ({},))]", dim); }

float encode_row(std::span<const float> row, std::int8_t* codes) {
  float largest = 0;
  bool finite = true;
  for (const float x : row) {
    largest = std::max(largest, std::fabs(x));
    finite &= std::isfinite(x);
  }
  const float scale = largest / kLargestCode;
  if (!finite || scale == 0) {
    std::fill_n(codes, row.size(), std::int8_t{0});
    return 0;
  }
  for (std::size_t j = 0; j < row.size(); ++j) {
    // A denormal scale is imprecise, hence the bounds.
    const float code = std::clamp(row[j] / scale, -kLargestCode, kLargestCode);
    codes[j] = static_cast<std::int8_t>(internal::rounded(code));
  }
  return scale;
}

void encode_rows(std::span<const float> rows, std::size_t dim, std::vector<std::uint8_t>& out) {
  const std::size_t count = rows.size() / dim;
  std::size_t at = out.size();
  out.resize(at + count * code_row_bytes(dim));
  for (std::size_t i = 0; i < count; ++i, at += code_row_bytes(dim)) {
    auto* const codes = reinterpret_cast<std::int8_t*>(out.data() + at + sizeof(float));
    const float scale = encode_row(rows.subspan(i * dim, dim), codes);
    std::memcpy(out.data() + at, &scale, sizeof scale);
  }
}

CodeMatrix::CodeMatrix(const std::filesystem::path& path, std::size_t dim) : file_(path), dim_(dim) {
  const std::string name = io::shown(path);
  internal::load_if_small(file_);
  const NpyHeader header = parse_npy_header(file_.bytes(), name);
  if (header.descr != internal::normalised_descr(codes_descr(dim)) || header.shape.size() != 1) {
    throw Error(Errc::corrupt, fmt::format("{}: no array of {} codes a row (its type is {})", name, dim, header.descr),
                "remove the file: the next run that adds to the store makes it again");
  }
  rows_ = (file_.size() - header.data_offset) / code_row_bytes(dim);
  data_ = file_.data() + header.data_offset;
}

}  // namespace reef::vector
