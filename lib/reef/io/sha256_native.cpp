#include "reef/io/internal/sha256_blocks.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace reef::io::internal {

#if defined(__x86_64__)
namespace {

/// The constants of FIPS 180-4, section 4.2.2, aligned for 16-byte loads.
alignas(16) constexpr std::array<std::uint32_t, 64> kSha256Rounds = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/// Four rounds at a time. The instructions want the state as ABEF and CDGH, and the schedule as
/// four vectors of which each is made from the four before it.
/// Source: Intel, "Intel SHA Extensions", 2013 (what sha256rnds2, sha256msg1 and sha256msg2 compute).
///
/// A round waits for the round before it. A second, independent message fills those waits; a third one would not have
/// registers. The loops must unroll, or the arrays live in memory.
template <int kLanes>
__attribute__((target("sha,sse4.1,ssse3"))) void take_blocks(std::uint32_t* const (&states)[kLanes],
                                                             const std::uint8_t* const (&messages)[kLanes],
                                                             std::size_t count) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i abef[kLanes], cdgh[kLanes];
#pragma GCC unroll 2
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto* words = reinterpret_cast<const __m128i*>(states[lane]);
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xB1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1B);
    abef[lane] = _mm_alignr_epi8(badc, hgfe, 8);
    cdgh[lane] = _mm_blend_epi16(hgfe, badc, 0xF0);
  }

  for (std::size_t block = 0; block < count; ++block) {
    __m128i abef_before[kLanes], cdgh_before[kLanes], schedule[kLanes][4];
#pragma GCC unroll 2
    for (int lane = 0; lane < kLanes; ++lane) {
      abef_before[lane] = abef[lane];
      cdgh_before[lane] = cdgh[lane];
      const auto* words = reinterpret_cast<const __m128i*>(messages[lane] + 64 * block);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) schedule[lane][i] = _mm_shuffle_epi8(_mm_loadu_si128(words + i), big_endian);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      const __m128i round = _mm_load_si128(reinterpret_cast<const __m128i*>(kSha256Rounds.data()) + i);
#pragma GCC unroll 2
      for (int lane = 0; lane < kLanes; ++lane) {
        __m128i& four = schedule[lane][i % 4];
        const __m128i input = _mm_add_epi32(four, round);
        cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], input);
        abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], _mm_shuffle_epi32(input, 0x0E));
        if (i >= 12) continue;
        // These four words are used; in their place come those of four steps later.
        const __m128i last = schedule[lane][(i + 3) % 4];
        const __m128i part = _mm_sha256msg1_epu32(four, schedule[lane][(i + 1) % 4]);
        four = _mm_sha256msg2_epu32(_mm_add_epi32(part, _mm_alignr_epi8(last, schedule[lane][(i + 2) % 4], 4)), last);
      }
    }
#pragma GCC unroll 2
    for (int lane = 0; lane < kLanes; ++lane) {
      abef[lane] = _mm_add_epi32(abef[lane], abef_before[lane]);
      cdgh[lane] = _mm_add_epi32(cdgh[lane], cdgh_before[lane]);
    }
  }

#pragma GCC unroll 2
  for (int lane = 0; lane < kLanes; ++lane) {
    auto* words = reinterpret_cast<__m128i*>(states[lane]);
    const __m128i feba = _mm_shuffle_epi32(abef[lane], 0x1B);
    const __m128i dchg = _mm_shuffle_epi32(cdgh[lane], 0xB1);
    _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
  }
}

void one_message(Sha256State& state, const std::uint8_t* blocks, std::size_t count) {
  take_blocks<1>({state.data()}, {blocks}, count);
}

void two_messages(Sha256State& first, const std::uint8_t* first_blocks, Sha256State& second,
                  const std::uint8_t* second_blocks, std::size_t count) {
  take_blocks<2>({first.data(), second.data()}, {first_blocks, second_blocks}, count);
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

Sha256Blocks sha256_blocks_native() { return cpu_has_sha_ni() ? one_message : nullptr; }
Sha256PairBlocks sha256_pair_blocks_native() { return cpu_has_sha_ni() ? two_messages : nullptr; }

#else

Sha256Blocks sha256_blocks_native() { return nullptr; }
Sha256PairBlocks sha256_pair_blocks_native() { return nullptr; }

#endif

}  // namespace reef::io::internal
