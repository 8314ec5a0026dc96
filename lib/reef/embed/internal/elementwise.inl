// Arithmetic on rows of floats for one instruction set. The kernels_*.cpp files include forward.inl,
// and with it this, within their anonymous namespace, after Ints, Floats and REEF_TARGET.
//
// What works lane by lane uses whole registers. What adds along a row keeps sixteen partial sums
// whatever a register holds, and adds those in one order: so all sets give the same bits.
#pragma once

using FloatsInMemory = Floats __attribute__((aligned(4), may_alias));
using IntsInMemory = Ints __attribute__((aligned(4), may_alias));

constexpr std::size_t kWidth = sizeof(Floats) / sizeof(float);
constexpr std::size_t kParts = 16 / kWidth;

/// 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the result.
constexpr float kRounder = 12582912.0F;
constexpr std::int32_t kRounderBits = 0x4b400000;

REEF_INLINE Floats get(const float* p) { return *reinterpret_cast<const FloatsInMemory*>(p); }
REEF_INLINE Ints get_ints(const std::int32_t* p) { return *reinterpret_cast<const IntsInMemory*>(p); }
REEF_INLINE void put(float* p, Floats v) { *reinterpret_cast<FloatsInMemory*>(p) = v; }
REEF_INLINE Floats all(float x) { return Floats{} + x; }
REEF_INLINE Floats smaller(Floats a, Floats b) { return a < b ? a : b; }
REEF_INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }
REEF_INLINE float largest_lane(Floats v) {
  float most = v[0];
  for (std::size_t i = 1; i < kWidth; ++i) most = v[i] > most ? v[i] : most;
  return most;
}

/// Sixteen partial sums of a row.
struct Sums16 {
  Floats part[kParts];
};
REEF_INLINE void clear(Sums16& sums) {
#pragma GCC unroll 4
  for (std::size_t k = 0; k < kParts; ++k) sums.part[k] = all(0);
}
REEF_INLINE float total(const Sums16& sums) {
  using Quarter = float __attribute__((vector_size(16)));
  Quarter q[4];
  std::memcpy(q, sums.part, sizeof q);
  const Quarter s = (q[0] + q[2]) + (q[1] + q[3]);
  return (s[0] + s[2]) + (s[1] + s[3]);
}

/// e^x with a relative error of 2e-7 within [-87, 87], clamped outside. Argument reduction by
/// ln 2 in two parts and the polynomial of Cephes' expf (S. Moshier, netlib.org/cephes).
REEF_INLINE Floats exponential(Floats x) {
  x = smaller(larger(x, all(-87.0F)), all(87.0F));
  const Floats shifted = x * 1.44269504F + kRounder;
  const Floats power = shifted - kRounder;
  const Floats r = (x - power * .693359375F) + power * 2.12194440e-4F;
  Floats y = r * 1.9875691500e-4F + 1.3981999507e-3F;
  y = y * r + 8.3334519073e-3F;
  y = y * r + 4.1665795894e-2F;
  y = y * r + 1.6666665459e-1F;
  y = y * r + 5.0000001201e-1F;
  y = y * r * r + r + 1.0F;
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(y) + (reinterpret_cast<Ints>(shifted) << 23));
}

/// x * Phi(x), the exact GELU, with erf by Abramowitz & Stegun 7.1.26: absolute error 1.5e-7.
REEF_INLINE Floats gelu(Floats x) {
  const Floats z = x * .70710678F;
  const Floats size = larger(z, -z);
  const Floats t = 1.0F / (size * .3275911F + 1.0F);
  Floats tail = t * 1.061405429F - 1.453152027F;
  tail = tail * t + 1.421413741F;
  tail = tail * t - .284496736F;
  tail = tail * t + .254829592F;
  tail = tail * t * exponential(-z * z);
  return x * .5F * (z < 0.0F ? tail : 2.0F - tail);
}

REEF_TARGET void gelu_row(float* x, std::size_t width) {
  for (std::size_t i = 0; i < width; i += kWidth) put(x + i, gelu(get(x + i)));
}

/// x = LayerNorm(x).
REEF_TARGET void normalise(float* x, const Norm& norm, float epsilon, std::size_t width) {
  const float share = 1.0F / static_cast<float>(width);
  Sums16 sum;
  Sums16 squares;
  clear(sum);
  clear(squares);
  for (std::size_t i = 0; i < width; i += 16) {
#pragma GCC unroll 4
    for (std::size_t k = 0; k < kParts; ++k) sum.part[k] += get(x + i + k * kWidth);
  }
  const float mean = total(sum) * share;
  for (std::size_t i = 0; i < width; i += 16) {
#pragma GCC unroll 4
    for (std::size_t k = 0; k < kParts; ++k) {
      const Floats v = get(x + i + k * kWidth) - mean;
      squares.part[k] += v * v;
    }
  }
  const float factor = 1.0F / std::sqrt(total(squares) * share + epsilon);
  for (std::size_t i = 0; i < width; i += kWidth) {
    put(x + i, (get(x + i) - mean) * factor * get(norm.gain + i) + get(norm.shift + i));
  }
}

/// x += y.
REEF_TARGET void add_row(float* x, const float* y, std::size_t width) {
  for (std::size_t i = 0; i < width; i += kWidth) put(x + i, get(x + i) + get(y + i));
}

/// Scales to unit length; a row of zeros stays.
REEF_TARGET void to_unit_length(float* x, std::size_t width) {
  Sums16 squares;
  clear(squares);
  for (std::size_t i = 0; i < width; i += 16) {
#pragma GCC unroll 4
    for (std::size_t k = 0; k < kParts; ++k) {
      const Floats v = get(x + i + k * kWidth);
      squares.part[k] += v * v;
    }
  }
  const float length = std::sqrt(total(squares));
  const float factor = length > 0.0F ? 1.0F / length : 0.0F;
  for (std::size_t i = 0; i < width; i += kWidth) put(x + i, get(x + i) * factor);
}
