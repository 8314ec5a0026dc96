#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace reef::vector {

/// Vectors of a .npy file that another program made.
struct NpyRows {
  std::uint64_t rows = 0;
  std::size_t dim = 0;
  std::vector<float> unit_rows;  ///< rows x dim, brought to unit length
};

/// Reads float16, float32 or float64 in C order, shape (n, dim) or (dim,). Throws Error{corrupt} for
/// another file, a value that is not finite or a row of zeros, naming the row.
NpyRows read_npy_rows(const std::filesystem::path& path);

}  // namespace reef::vector
