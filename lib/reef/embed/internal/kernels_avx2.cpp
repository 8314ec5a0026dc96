// The forward pass with AVX2. Its 8-bit product (maddubs) saturates, so the 16-bit one computes
// both kinds of activations; see kernels_avx512.cpp for the rules of these files.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "reef/embed/internal/kernels.h"

#define REEF_TARGET __attribute__((target("avx2")))
#define REEF_INLINE REEF_TARGET inline __attribute__((always_inline))
#define REEF_BYTE_PRODUCT 0

namespace reef::embed::internal {
namespace {

using Wide = __m256i;
using Ints = __v8si;
using Floats = __v8sf;
using Narrow = std::int16_t __attribute__((vector_size(16)));

/// Channels per register of 16-bit weights; rows per tile: 6 x 2 sums and 3 operands of 16 registers.
constexpr std::size_t kChannels = 4;
constexpr std::size_t kMaxRows = 6;

REEF_INLINE Wide widen(const std::int8_t* weights) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i_u*>(weights)));
}
REEF_INLINE Wide spread(std::int64_t group) { return _mm256_set1_epi64x(group); }
REEF_INLINE Ints add_product(Ints sum, Wide a, Wide b) { return sum + reinterpret_cast<Ints>(_mm256_madd_epi16(a, b)); }
/// Each channel's two lanes, four channels in `a` and four in `b`, to eight sums.
REEF_INLINE void store_channels(Ints a, Ints b, std::int32_t* out) {
  const Wide sums = _mm256_hadd_epi32(reinterpret_cast<Wide>(a), reinterpret_cast<Wide>(b));
  _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(out), _mm256_permute4x64_epi64(sums, 0xd8));
}

// In the order of their needs, which a sorted block would not keep.
#include "reef/embed/internal/forward.inl"

}  // namespace

const Kernels kAvx2Kernels = {forward, "avx2"};

}  // namespace reef::embed::internal
