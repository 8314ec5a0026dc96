#pragma once

namespace reef::vector::internal {

/// To the nearest integer, ties to even, for |x| < 2^22: adding 1.5 * 2^23 leaves no bits for the fraction. The same on
/// every processor, and vectorised where std::nearbyint is a call.
inline float rounded(float x) {
  constexpr float kNoFraction = 12'582'912;
  return (x + kNoFraction) - kNoFraction;
}

}  // namespace reef::vector::internal
