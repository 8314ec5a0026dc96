// The forward pass with AVX-512 and VNNI (Ice Lake, Zen 4 and later). Chosen at run time: only
// functions that carry REEF_TARGET may use these instructions, and all of them are in an anonymous
// namespace, so that none can be taken for a copy of another file's.
// g++ 12 warns about its own AVX-512 intrinsics ("__Y is used uninitialized"): a false alarm.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "reef/embed/internal/kernels.h"

#define REEF_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2")))
#define REEF_INLINE REEF_TARGET inline __attribute__((always_inline))
#define REEF_BYTE_PRODUCT 1

namespace reef::embed::internal {
namespace {

using Wide = __m512i;
using Ints = __v16si;
using Floats = __v16sf;
using Narrow = std::int16_t __attribute__((vector_size(32)));

/// Channels per register of 16-bit weights; rows per tile: 14 x 2 sums and 3 operands of 32 registers.
constexpr std::size_t kChannels = 8;
constexpr std::size_t kMaxRows = 14;

using Bytes32 = signed char __attribute__((vector_size(32), aligned(1), may_alias));
using Shorts32 = std::int16_t __attribute__((vector_size(64)));

REEF_INLINE Wide widen(const std::int8_t* weights) {
  return reinterpret_cast<Wide>(__builtin_convertvector(*reinterpret_cast<const Bytes32*>(weights), Shorts32));
}
REEF_INLINE Wide spread(std::int64_t group) { return __v8di{} + group; }
REEF_INLINE Ints add_product(Ints sum, Wide a, Wide b) {
  return reinterpret_cast<Ints>(_mm512_dpwssd_epi32(reinterpret_cast<Wide>(sum), a, b));
}
/// Four unsigned inputs times four signed weights in each lane: 64 products an instruction.
REEF_INLINE Ints add_byte_product(Ints sum, std::int32_t group, Wide weights) {
  return reinterpret_cast<Ints>(
      _mm512_dpbusd_epi32(reinterpret_cast<Wide>(sum), reinterpret_cast<Wide>(Ints{} + group), weights));
}
/// Each channel's two lanes, eight channels in `a` and eight in `b`, to sixteen sums.
REEF_INLINE void store_channels(Ints a, Ints b, std::int32_t* out) {
  const Ints even = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const Ints odd = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  const Ints sums = even + odd;
  std::memcpy(out, &sums, sizeof sums);
}

// In the order of their needs, which a sorted block would not keep.
#include "reef/embed/internal/forward.inl"

}  // namespace

const Kernels kAvx512Kernels = {forward, "avx512-vnni"};

}  // namespace reef::embed::internal
