#include "reef/vector/uniform_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "reef/core/share_work.h"
#include "reef/vector/internal/rounding.h"

namespace reef::vector {
namespace {

constexpr std::size_t kRowsAtOnce = 1024;

float step_for(const NpyMatrix& vectors) {
  constexpr std::size_t kLargestSample = 4 << 20;
  constexpr double kShare = .9999;
  constexpr float kMargin = 1.05F;
  const std::span<const float> values(vectors.row(0).data(), vectors.rows() * vectors.dim());
  // What fits into the sample is taken whole: of a hundred values the percentile is the second largest, and a part of
  // every row would be cut. Else a stride prime to the dimension, so that every column has its turn.
  std::size_t stride = values.size() <= kLargestSample ? 1 : std::max<std::size_t>(values.size() / kLargestSample, 96);
  while (std::gcd(stride, vectors.dim()) != 1) ++stride;
  std::vector<float> sample;
  for (std::size_t i = 0; i < values.size(); i += stride) sample.push_back(std::abs(values[i]));
  const auto at = sample.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(sample.size() - 1) * kShare);
  std::nth_element(sample.begin(), at, sample.end());
  return *at > 0 ? *at * kMargin / 127 : 1.0F / 127;
}

void encode(const float* values, std::size_t count, float step, std::uint8_t* codes) {
  const float inverse = 1 / step;
  for (std::size_t j = 0; j < count; ++j) {
    const float cut = std::min(std::max(values[j] * inverse, -128.0F), 127.0F);
    codes[j] = static_cast<std::uint8_t>(static_cast<int>(internal::rounded(cut)) + 128);
  }
}

}  // namespace

UniformCodes::UniformCodes(const NpyMatrix& vectors, unsigned threads)
    : rows_(vectors.rows()), dim_(vectors.dim()), step_(step_for(vectors)), codes_(rows_ * dim_) {
  const auto work = [&](std::size_t, std::size_t item) {
    const std::size_t begin = item * kRowsAtOnce, count = std::min(kRowsAtOnce, rows_ - begin);
    encode(vectors.row(begin).data(), count * dim_, step_, codes_.data() + begin * dim_);
  };
  share_work(threads, (rows_ + kRowsAtOnce - 1) / kRowsAtOnce, work, [] {});
}

void to_signed(const std::uint8_t* codes, std::size_t dim, std::int8_t* out) {
  std::size_t j = 0;
  for (; j + 8 <= dim; j += 8) {  // eight at a time: -O2 leaves the loop over single bytes as it is
    std::uint64_t word = 0;
    std::memcpy(&word, codes + j, sizeof word);
    word ^= 0x8080808080808080;
    std::memcpy(out + j, &word, sizeof word);
  }
  for (; j < dim; ++j) out[j] = static_cast<std::int8_t>(codes[j] ^ 0x80);
}

}  // namespace reef::vector
