#pragma once

#include <cstddef>
#include <cstdint>

namespace reef::vector {

/// A question of 15 bits for rows of 8-bit codes: value[j] = 128 high[j] + low[j], the form in which VNNI takes it.
struct WideQuery {
  const std::int16_t* value;  ///< |value| <= kLargest
  const std::int8_t* high;
  const std::int8_t* low;
  static constexpr int kLargest = 127 * 128;
};

/// Inner products for vector search, one set per instruction set, chosen once by asking the CPU.
/// REEF_ISA=avx2|baseline forces a lower one, so that one machine tests them all.
struct Kernels {
  /// One signed 8-bit query against four rows of signed 8-bit codes of `dim` bytes; exact in
  /// int32 for dim <= 65,536, so every set gives the same integers.
  void (*dot_four)(const std::int8_t* query, const std::int8_t* const rows[4], std::size_t dim, std::int32_t out[4]);
  /// The same over unsigned codes, as FAISS's QT_8bit and so index.bin has them: Σ q·u, not Σ q·(u - 128).
  void (*dot_four_unsigned)(const std::int8_t* query, const std::uint8_t* const rows[4], std::size_t dim,
                            std::int32_t out[4]);
  /// Σ value·u; exact while Σ|value|·255 < 2^31.
  void (*dot_four_wide)(const WideQuery& query, const std::uint8_t* const rows[4], std::size_t dim,
                        std::int32_t out[4]);
  /// float32; the order of additions is the same in every set, so the bits are too.
  float (*inner_product)(const float* a, const float* b, std::size_t dim);
  const char* name;
};

const Kernels& kernels();

}  // namespace reef::vector
