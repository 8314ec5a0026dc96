#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "reef/io/unique_handle.h"

namespace reef::vector {

/// Vectors of a .npy file that another program made, read in blocks: float16, float32 or float64 in C order, shape
/// (n, dim), or (dim,) for one.
class ForeignNpy {
 public:
  /// Throws Error{not_found}, or Error{corrupt} for another kind of file or one that is shorter than its header says.
  explicit ForeignNpy(std::filesystem::path path);

  std::uint64_t rows() const { return rows_; }
  std::size_t dim() const { return dim_; }
  const std::filesystem::path& path() const { return path_; }
  /// `count` rows from `first` into `out` (count x dim), brought to unit length; a row that has it to the last bits of
  /// a float stays as it is. Throws Error{corrupt} for a value that is not finite or a row of zeros, naming the row.
  void read(std::uint64_t first, std::uint64_t count, std::span<float> out);
  /// How many of the rows read so far were not of unit length (is_unit()).
  std::uint64_t stretched() const { return stretched_; }

 private:
  std::filesystem::path path_;
  io::UniqueFd fd_;
  std::size_t element_bytes_ = 0;
  std::uint64_t data_offset_ = 0;
  std::uint64_t rows_ = 0;
  std::size_t dim_ = 0;
  std::uint64_t stretched_ = 0;
  std::vector<std::uint8_t> block_;
};

}  // namespace reef::vector
