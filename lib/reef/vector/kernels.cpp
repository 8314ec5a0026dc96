#include "reef/vector/kernels.h"

// g++ 12 reports its own AVX-512 intrinsics as using an uninitialised "__Y": a false alarm.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/vector/internal/kernel_sets.h"

#define REEF_TARGET_AVX2 __attribute__((target("avx2")))
#define REEF_TARGET_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2")))

// How every set gives the same bits:
//
// Integers: the products of 8-bit codes are summed in int32 without saturation, so their order does
// not matter. _mm256_maddubs_epi16 is not used because it saturates.
//
// Floats: addition is not associative, so its order is part of the contract. Sixteen lanes, lane j
// summing the products j, j + 16, j + 32, …; a last block is filled up with zeros. Then lanes are
// folded in halves: 16 -> 8 -> 4 -> 2 -> 1, lane j with lane j + half. Products are rounded before
// they are added (-ffp-contract=off), for not every processor has the fused operation.

namespace reef::vector {
namespace {

constexpr std::size_t kLanes = 16;

/// The last, partial block of two vectors, filled up with zeros.
struct Tail {
  alignas(64) float a[kLanes] = {};
  alignas(64) float b[kLanes] = {};

  Tail(const float* from_a, const float* from_b, std::size_t count) {
    std::memcpy(a, from_a, count * sizeof(float));
    std::memcpy(b, from_b, count * sizeof(float));
  }
};

// ---------------------------------------------------------------------------- SSE2: every x86-64

/// The eight bytes of the lower half as int16: SSE2 has no sign extension, so each byte goes into
/// the upper half of a word and is shifted down.
__m128i widen_low(__m128i bytes) { return _mm_srai_epi16(_mm_unpacklo_epi8(_mm_setzero_si128(), bytes), 8); }
__m128i widen_high(__m128i bytes) { return _mm_srai_epi16(_mm_unpackhi_epi8(_mm_setzero_si128(), bytes), 8); }

std::int32_t sum_lanes(__m128i v) {
  v = _mm_add_epi32(v, _mm_shuffle_epi32(v, _MM_SHUFFLE(1, 0, 3, 2)));
  v = _mm_add_epi32(v, _mm_shuffle_epi32(v, _MM_SHUFFLE(2, 3, 0, 1)));
  return _mm_cvtsi128_si32(v);
}

void dot_four_baseline(const std::int8_t* query, const std::int8_t* const rows[4], std::size_t dim,
                       std::int32_t out[4]) {
  __m128i sum[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i*>(query + i));
    const __m128i q_low = widen_low(q);
    const __m128i q_high = widen_high(q);
    for (int r = 0; r < 4; ++r) {
      const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + i));
      const __m128i products =
          _mm_add_epi32(_mm_madd_epi16(q_low, widen_low(c)), _mm_madd_epi16(q_high, widen_high(c)));
      sum[r] = _mm_add_epi32(sum[r], products);
    }
  }
  for (int r = 0; r < 4; ++r) {
    out[r] = sum_lanes(sum[r]);
    for (std::size_t j = i; j < dim; ++j) out[r] += query[j] * rows[r][j];
  }
}

void dot_four_unsigned_baseline(const std::int8_t* query, const std::uint8_t* const rows[4], std::size_t dim,
                                std::int32_t out[4]) {
  const __m128i zero = _mm_setzero_si128();
  __m128i sum[4] = {zero, zero, zero, zero};
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i*>(query + i));
    const __m128i q_low = widen_low(q);
    const __m128i q_high = widen_high(q);
    for (int r = 0; r < 4; ++r) {
      const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + i));
      const __m128i products = _mm_add_epi32(_mm_madd_epi16(q_low, _mm_unpacklo_epi8(c, zero)),
                                             _mm_madd_epi16(q_high, _mm_unpackhi_epi8(c, zero)));
      sum[r] = _mm_add_epi32(sum[r], products);
    }
  }
  for (int r = 0; r < 4; ++r) {
    out[r] = sum_lanes(sum[r]);
    for (std::size_t j = i; j < dim; ++j) out[r] += query[j] * rows[r][j];
  }
}

void dot_four_wide_baseline(const WideQuery& query, const std::uint8_t* const rows[4], std::size_t dim,
                            std::int32_t out[4]) {
  const __m128i zero = _mm_setzero_si128();
  __m128i sum[4] = {zero, zero, zero, zero};
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m128i q_low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(query.value + i));
    const __m128i q_high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(query.value + i + 8));
    for (int r = 0; r < 4; ++r) {
      const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + i));
      const __m128i products = _mm_add_epi32(_mm_madd_epi16(q_low, _mm_unpacklo_epi8(c, zero)),
                                             _mm_madd_epi16(q_high, _mm_unpackhi_epi8(c, zero)));
      sum[r] = _mm_add_epi32(sum[r], products);
    }
  }
  for (int r = 0; r < 4; ++r) {
    out[r] = sum_lanes(sum[r]);
    for (std::size_t j = i; j < dim; ++j) out[r] += query.value[j] * rows[r][j];
  }
}

/// Folds four lanes, the last two steps of the tree that all sets share.
float fold_four(__m128 v) {
  v = _mm_add_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}

void add_block_baseline(const float* a, const float* b, __m128 sum[4]) {
  for (int j = 0; j < 4; ++j) {
    sum[j] = _mm_add_ps(sum[j], _mm_mul_ps(_mm_loadu_ps(a + 4 * j), _mm_loadu_ps(b + 4 * j)));
  }
}

float inner_product_baseline(const float* a, const float* b, std::size_t dim) {
  __m128 sum[4] = {_mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps()};
  std::size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) add_block_baseline(a + i, b + i, sum);
  if (i < dim) {
    const Tail tail(a + i, b + i, dim - i);
    add_block_baseline(tail.a, tail.b, sum);
  }
  return fold_four(_mm_add_ps(_mm_add_ps(sum[0], sum[2]), _mm_add_ps(sum[1], sum[3])));
}

// ---------------------------------------------------------------------------------------- AVX2

/// Lane r of the result is the sum of all lanes of the r-th argument.
REEF_TARGET_AVX2 __m128i sum_four(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
  return _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

REEF_TARGET_AVX2 void dot_four_avx2(const std::int8_t* query, const std::int8_t* const rows[4], std::size_t dim,
                                    std::int32_t out[4]) {
  __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m256i q = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(query + i)));
    for (int r = 0; r < 4; ++r) {
      const __m256i c = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + i)));
      sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(q, c));
    }
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), sum_four(sum[0], sum[1], sum[2], sum[3]));
  for (int r = 0; r < 4; ++r) {
    for (std::size_t j = i; j < dim; ++j) out[r] += query[j] * rows[r][j];
  }
}

REEF_TARGET_AVX2 void dot_four_unsigned_avx2(const std::int8_t* query, const std::uint8_t* const rows[4],
                                             std::size_t dim, std::int32_t out[4]) {
  __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m256i q = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(query + i)));
    for (int r = 0; r < 4; ++r) {
      const __m256i c = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + i)));
      sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(q, c));
    }
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), sum_four(sum[0], sum[1], sum[2], sum[3]));
  for (; i < dim; ++i) {
    for (int r = 0; r < 4; ++r) out[r] += query[i] * rows[r][i];
  }
}

REEF_TARGET_AVX2 void dot_four_wide_avx2(const WideQuery& query, const std::uint8_t* const rows[4], std::size_t dim,
                                         std::int32_t out[4]) {
  __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
  std::size_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const __m256i q = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query.value + i));
    for (int r = 0; r < 4; ++r) {
      const __m256i c = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + i)));
      sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(q, c));
    }
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), sum_four(sum[0], sum[1], sum[2], sum[3]));
  for (; i < dim; ++i) {
    for (int r = 0; r < 4; ++r) out[r] += query.value[i] * rows[r][i];
  }
}

REEF_TARGET_AVX2 float fold_eight(__m256 v) {
  return fold_four(_mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)));
}

REEF_TARGET_AVX2 float inner_product_avx2(const float* a, const float* b, std::size_t dim) {
  __m256 low = _mm256_setzero_ps();
  __m256 high = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    low = _mm256_add_ps(low, _mm256_mul_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
    high = _mm256_add_ps(high, _mm256_mul_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8)));
  }
  if (i < dim) {
    const Tail tail(a + i, b + i, dim - i);
    low = _mm256_add_ps(low, _mm256_mul_ps(_mm256_load_ps(tail.a), _mm256_load_ps(tail.b)));
    high = _mm256_add_ps(high, _mm256_mul_ps(_mm256_load_ps(tail.a + 8), _mm256_load_ps(tail.b + 8)));
  }
  return fold_eight(_mm256_add_ps(low, high));
}

// --------------------------------------------------------------------------------- AVX-512 VNNI

REEF_TARGET_VNNI __m256i add_halves(__m512i v) {
  return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

/// dpbusd multiplies unsigned by signed bytes. A code with its top bit flipped is code + 128
/// unsigned, so each row's sum comes out as q·code + 128 Σq; one more dpbusd per block, shared by
/// the four rows, sums the 128 q that are taken off at the end. The true sum fits int32, hence
/// wrapping in between is harmless.
REEF_TARGET_VNNI void dot_four_vnni(const std::int8_t* query, const std::int8_t* const rows[4], std::size_t dim,
                                    std::int32_t out[4]) {
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));  // as a factor: 128
  // Named registers in place of arrays: -O2 then keeps them out of memory for sure.
  __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0, excess = s0;
  const std::int8_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
  std::size_t i = 0;
  for (; i + 64 <= dim; i += 64) {
    const __m512i q = _mm512_loadu_si512(query + i);
    s0 = _mm512_dpbusd_epi32(s0, _mm512_xor_si512(_mm512_loadu_si512(r0 + i), flip), q);
    s1 = _mm512_dpbusd_epi32(s1, _mm512_xor_si512(_mm512_loadu_si512(r1 + i), flip), q);
    s2 = _mm512_dpbusd_epi32(s2, _mm512_xor_si512(_mm512_loadu_si512(r2 + i), flip), q);
    s3 = _mm512_dpbusd_epi32(s3, _mm512_xor_si512(_mm512_loadu_si512(r3 + i), flip), q);
    excess = _mm512_dpbusd_epi32(excess, flip, q);
  }
  if (i < dim) {  // masked loads read nothing past the end, and a q of zero adds nothing
    const __mmask64 tail = (__mmask64{1} << (dim - i)) - 1;
    const __m512i q = _mm512_maskz_loadu_epi8(tail, query + i);
    s0 = _mm512_dpbusd_epi32(s0, _mm512_xor_si512(_mm512_maskz_loadu_epi8(tail, r0 + i), flip), q);
    s1 = _mm512_dpbusd_epi32(s1, _mm512_xor_si512(_mm512_maskz_loadu_epi8(tail, r1 + i), flip), q);
    s2 = _mm512_dpbusd_epi32(s2, _mm512_xor_si512(_mm512_maskz_loadu_epi8(tail, r2 + i), flip), q);
    s3 = _mm512_dpbusd_epi32(s3, _mm512_xor_si512(_mm512_maskz_loadu_epi8(tail, r3 + i), flip), q);
    excess = _mm512_dpbusd_epi32(excess, flip, q);
  }
  const __m256i off = add_halves(excess);
  const __m128i sums = sum_four(_mm256_sub_epi32(add_halves(s0), off), _mm256_sub_epi32(add_halves(s1), off),
                                _mm256_sub_epi32(add_halves(s2), off), _mm256_sub_epi32(add_halves(s3), off));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), sums);
}

REEF_TARGET_VNNI void dot_four_unsigned_vnni(const std::int8_t* query, const std::uint8_t* const rows[4],
                                             std::size_t dim, std::int32_t out[4]) {
  __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
  const std::uint8_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
  std::size_t i = 0;
  for (; i + 64 <= dim; i += 64) {
    const __m512i q = _mm512_loadu_si512(query + i);
    s0 = _mm512_dpbusd_epi32(s0, _mm512_loadu_si512(r0 + i), q);
    s1 = _mm512_dpbusd_epi32(s1, _mm512_loadu_si512(r1 + i), q);
    s2 = _mm512_dpbusd_epi32(s2, _mm512_loadu_si512(r2 + i), q);
    s3 = _mm512_dpbusd_epi32(s3, _mm512_loadu_si512(r3 + i), q);
  }
  if (i < dim) {
    const __mmask64 tail = (__mmask64{1} << (dim - i)) - 1;
    const __m512i q = _mm512_maskz_loadu_epi8(tail, query + i);
    s0 = _mm512_dpbusd_epi32(s0, _mm512_maskz_loadu_epi8(tail, r0 + i), q);
    s1 = _mm512_dpbusd_epi32(s1, _mm512_maskz_loadu_epi8(tail, r1 + i), q);
    s2 = _mm512_dpbusd_epi32(s2, _mm512_maskz_loadu_epi8(tail, r2 + i), q);
    s3 = _mm512_dpbusd_epi32(s3, _mm512_maskz_loadu_epi8(tail, r3 + i), q);
  }
  const __m128i sums = sum_four(add_halves(s0), add_halves(s1), add_halves(s2), add_halves(s3));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), sums);
}

/// 128 times the sum of the high parts and the sum of the low ones; what wraps in between is harmless, as above.
REEF_TARGET_VNNI void dot_four_wide_vnni(const WideQuery& query, const std::uint8_t* const rows[4], std::size_t dim,
                                         std::int32_t out[4]) {
  __m512i h0 = _mm512_setzero_si512(), h1 = h0, h2 = h0, h3 = h0, l0 = h0, l1 = h0, l2 = h0, l3 = h0;
  const std::uint8_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
  for (std::size_t i = 0; i < dim; i += 64) {
    const __mmask64 part = dim - i >= 64 ? ~__mmask64{0} : (__mmask64{1} << (dim - i)) - 1;
    const __m512i high = _mm512_maskz_loadu_epi8(part, query.high + i);
    const __m512i low = _mm512_maskz_loadu_epi8(part, query.low + i);
    const __m512i u0 = _mm512_maskz_loadu_epi8(part, r0 + i), u1 = _mm512_maskz_loadu_epi8(part, r1 + i);
    const __m512i u2 = _mm512_maskz_loadu_epi8(part, r2 + i), u3 = _mm512_maskz_loadu_epi8(part, r3 + i);
    h0 = _mm512_dpbusd_epi32(h0, u0, high);
    h1 = _mm512_dpbusd_epi32(h1, u1, high);
    h2 = _mm512_dpbusd_epi32(h2, u2, high);
    h3 = _mm512_dpbusd_epi32(h3, u3, high);
    l0 = _mm512_dpbusd_epi32(l0, u0, low);
    l1 = _mm512_dpbusd_epi32(l1, u1, low);
    l2 = _mm512_dpbusd_epi32(l2, u2, low);
    l3 = _mm512_dpbusd_epi32(l3, u3, low);
  }
  const __m128i high = sum_four(add_halves(h0), add_halves(h1), add_halves(h2), add_halves(h3));
  const __m128i low = sum_four(add_halves(l0), add_halves(l1), add_halves(l2), add_halves(l3));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_add_epi32(_mm_slli_epi32(high, 7), low));
}

REEF_TARGET_VNNI float inner_product_avx512(const float* a, const float* b, std::size_t dim) {
  __m512 sum = _mm512_setzero_ps();
  std::size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i)));
  }
  if (i < dim) {
    const auto tail = static_cast<__mmask16>((1u << (dim - i)) - 1);
    sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_maskz_loadu_ps(tail, a + i), _mm512_maskz_loadu_ps(tail, b + i)));
  }
  return fold_eight(_mm256_add_ps(_mm512_castps512_ps256(sum), _mm512_extractf32x8_ps(sum, 1)));
}

constexpr Kernels kVnni{dot_four_vnni, dot_four_unsigned_vnni, dot_four_wide_vnni, inner_product_avx512, "avx512-vnni"};
constexpr Kernels kAvx2{dot_four_avx2, dot_four_unsigned_avx2, dot_four_wide_avx2, inner_product_avx2, "avx2"};
constexpr Kernels kBaseline{dot_four_baseline, dot_four_unsigned_baseline, dot_four_wide_baseline,
                            inner_product_baseline, "baseline"};

}  // namespace

namespace internal {

std::vector<Kernels> supported_kernels() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2");
  const bool vnni = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vnni");
  std::vector<Kernels> sets;
  if (vnni) sets.push_back(kVnni);
  if (avx2) sets.push_back(kAvx2);
  sets.push_back(kBaseline);
  return sets;
}

Kernels choose_kernels(const char* limit) {
  const std::string_view wanted = limit ? limit : "";
  if (!wanted.empty() && wanted != kAvx2.name && wanted != kBaseline.name) {
    throw Error(Errc::usage, "REEF_ISA is '" + std::string(wanted) + "', no instruction set that reef can be held to",
                "set it to avx2 or baseline, or leave it unset");
  }
  const std::vector<Kernels> sets = supported_kernels();
  if (wanted.empty()) return sets.front();
  for (const Kernels& set : sets) {
    if (wanted == set.name) return set;
  }
  return sets.back();  // avx2 was asked for, and this processor has none
}

}  // namespace internal

const Kernels& kernels() {
  static const Kernels chosen = internal::choose_kernels(std::getenv("REEF_ISA"));
  return chosen;
}

}  // namespace reef::vector
#pragma GCC diagnostic pop
