#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "reef/io/mapped_file.h"

namespace reef::vector {

/// 8-bit codes of float rows, each row with its own scale: x_j ~ scale * code_j, |code| <= 127.
/// Per-row scales need no calibration, so rows can be appended for ever.
///
/// On disk: `codes.npy`, a structured .npy array [('scale','<f4'),('code','i1',(dim,))], row i of
/// it for row i of vectors.npy. Derived: where it is missing or short, floats are scanned.
std::string codes_descr(std::size_t dim);
constexpr std::size_t code_row_bytes(std::size_t dim) { return sizeof(float) + dim; }

/// Appends the code rows of `rows` (n x dim) to `out`.
void encode_rows(std::span<const float> rows, std::size_t dim, std::vector<std::uint8_t>& out);

class CodeMatrix {
 public:
  CodeMatrix() = default;
  /// Throws Error{corrupt} when the file is not such an array of `dim` codes.
  CodeMatrix(const std::filesystem::path& path, std::size_t dim);

  std::uint64_t rows() const { return rows_; }
  std::size_t dim() const { return dim_; }
  float scale(std::uint64_t i) const;
  const std::int8_t* code(std::uint64_t i) const;
  const io::MappedFile& file() const { return file_; }

 private:
  io::MappedFile file_;
  std::uint64_t rows_ = 0;
  std::size_t dim_ = 0;
  std::size_t data_offset_ = 0;
};

}  // namespace reef::vector
