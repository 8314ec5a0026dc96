#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "reef/io/huge_array.h"
#include "reef/vector/npy.h"

namespace reef::vector {

/// The rows of a matrix as unsigned 8-bit codes with one scale for all: x ~ (code - 128) * step. With one scale the
/// integer product of two codes orders pairs as their inner product does, so that a graph is built without a float.
///
/// step = 1.05 q / 127, q the 99.99th percentile of |x|: a few values that are cut cost less than coarse steps for
/// all. code = x / step + 128 rounded to nearest, ties to even, cut to [0, 255].
class UniformCodes {
 public:
  UniformCodes(const NpyMatrix& vectors, unsigned threads);

  std::size_t rows() const { return rows_; }
  std::size_t dim() const { return dim_; }
  float step() const { return step_; }
  const std::uint8_t* row(std::size_t i) const { return codes_.data() + i * dim_; }
  std::span<const std::uint8_t> bytes() const { return {codes_.data(), rows_ * dim_}; }

 private:
  std::size_t rows_;
  std::size_t dim_;
  float step_;
  io::HugeArray<std::uint8_t> codes_;
};

/// code - 128, the signed form that Kernels::dot_four_unsigned takes as the question.
void to_signed(const std::uint8_t* codes, std::size_t dim, std::int8_t* out);

}  // namespace reef::vector
