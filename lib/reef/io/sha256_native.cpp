#include "reef/io/internal/sha256_blocks.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace reef::io::internal {

#if defined(__x86_64__)
namespace {

/// Four rounds at a time. The instructions want the state as ABEF and CDGH, and the schedule as
/// four vectors of which each is made from the four before it.
/// Source: Intel, "Intel SHA Extensions", 2013 (what sha256rnds2, sha256msg1 and sha256msg2 compute).
__attribute__((target("sha,sse4.1,ssse3"))) void blocks_with_sha_ni(std::array<std::uint32_t, 8>& state,
                                                                    const std::uint8_t* blocks, std::size_t count) {
  auto* words = reinterpret_cast<__m128i*>(state.data());
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xB1);
  const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1B);
  __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
  __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);

  for (; count > 0; --count, blocks += 64) {
    const __m128i abef_before = abef;
    const __m128i cdgh_before = cdgh;
    __m128i schedule[4];
    for (int i = 0; i < 16; ++i) {
      __m128i& four = schedule[i % 4];
      if (i < 4) {
        four = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(blocks) + i), big_endian);
      } else {
        const __m128i last = schedule[(i + 3) % 4];
        const __m128i part = _mm_sha256msg1_epu32(four, schedule[(i + 1) % 4]);
        four = _mm_sha256msg2_epu32(_mm_add_epi32(part, _mm_alignr_epi8(last, schedule[(i + 2) % 4], 4)), last);
      }
      const auto* round = reinterpret_cast<const __m128i*>(kSha256Rounds.data()) + i;
      const __m128i input = _mm_add_epi32(four, _mm_loadu_si128(round));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, input);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(input, 0x0E));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }

  const __m128i feba = _mm_shuffle_epi32(abef, 0x1B);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

bool cpu_has_sha_ni() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSSE3) == 0 || (c & bit_SSE4_1) == 0) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

}  // namespace

Sha256Blocks sha256_blocks_native() { return cpu_has_sha_ni() ? blocks_with_sha_ni : nullptr; }

#else

Sha256Blocks sha256_blocks_native() { return nullptr; }

#endif

}  // namespace reef::io::internal
