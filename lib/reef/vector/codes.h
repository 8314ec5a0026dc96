#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "reef/io/mapped_file.h"

namespace reef::vector {

/// 8-bit codes of float rows, each row with its own scale: x_j ~ scale * code_j, |code| <= 127.
/// Per-row scales need no calibration, so rows can be appended for ever.
///
/// scale = max|x_j| / 127, code_j = x_j / scale rounded to nearest, ties to even. A row that holds
/// no finite maximum, or zeros only, is all zero.
///
/// On disk: `codes.npy`, a structured .npy array [('scale', '<f4'), ('code', '|i1', (dim,))], row i
/// of it for row i of vectors.npy. Derived: where it is missing or short, floats are scanned.
std::string codes_descr(std::size_t dim);
constexpr std::size_t code_row_bytes(std::size_t dim) { return sizeof(float) + dim; }

/// One row's codes into `codes` (dim of them); returns its scale.
float encode_row(std::span<const float> row, std::int8_t* codes);

/// Appends the code rows of `rows` (n x dim) to `out`.
void encode_rows(std::span<const float> rows, std::size_t dim, std::vector<std::uint8_t>& out);

class CodeMatrix {
 public:
  CodeMatrix() = default;
  /// Throws Error{corrupt} when the file is not such an array of `dim` codes.
  CodeMatrix(const std::filesystem::path& path, std::size_t dim);

  /// Whole rows in the file. As in NpyMatrix, the count in the header is not read: rows past the
  /// commit point may be there, and whoever scans stays before it.
  std::uint64_t rows() const { return rows_; }
  std::size_t dim() const { return dim_; }
  float scale(std::uint64_t i) const {
    float value;  // rows are dim + 4 bytes apart: no alignment
    std::memcpy(&value, data_ + i * code_row_bytes(dim_), sizeof value);
    return value;
  }
  const std::int8_t* code(std::uint64_t i) const {
    return reinterpret_cast<const std::int8_t*>(data_ + i * code_row_bytes(dim_) + sizeof(float));
  }
  const io::MappedFile& file() const { return file_; }

 private:
  io::MappedFile file_;
  std::uint64_t rows_ = 0;
  std::size_t dim_ = 0;
  const std::uint8_t* data_ = nullptr;
};

}  // namespace reef::vector
