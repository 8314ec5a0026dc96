// The forward pass with what every x86-64 has (SSE2); see kernels_avx512.cpp for the rules of
// these files.
#include <emmintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "reef/embed/internal/kernels.h"

#define REEF_TARGET
#define REEF_INLINE inline __attribute__((always_inline))
#define REEF_BYTE_PRODUCT 0

namespace reef::embed::internal {
namespace {

using Wide = __m128i;
using Ints = __v4si;
using Floats = __v4sf;
using Narrow = std::int16_t __attribute__((vector_size(8)));

/// Channels per register of 16-bit weights; rows per tile: 5 x 2 sums and operands of 16 registers.
constexpr std::size_t kChannels = 2;
constexpr std::size_t kMaxRows = 5;

REEF_INLINE Wide widen(const std::int8_t* weights) {
  const Wide bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i_u*>(weights));
  return _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
}
REEF_INLINE Wide spread(std::int64_t group) { return _mm_set1_epi64x(group); }
REEF_INLINE Ints add_product(Ints sum, Wide a, Wide b) { return sum + reinterpret_cast<Ints>(_mm_madd_epi16(a, b)); }
/// Each channel's two lanes, two channels in `a` and two in `b`, to four sums.
REEF_INLINE void store_channels(Ints a, Ints b, std::int32_t* out) {
  const Ints sums = __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
  std::memcpy(out, &sums, sizeof sums);
}

// In the order of their needs, which a sorted block would not keep.
#include "reef/embed/internal/forward.inl"

}  // namespace

const Kernels kBaselineKernels = {forward, "baseline"};

}  // namespace reef::embed::internal
