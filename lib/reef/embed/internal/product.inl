// Matrix products on integers for one instruction set.
//
// Rows are cut into tiles of equal height (13 rows: one tile of 13; 128: ten of 12 or 13), since a
// last tile of two rows would wait for the latency of its few sums.
#pragma once

#include "reef/embed/internal/elementwise.inl"

/// One product: quantised rows in, floats out.
struct Product {
  const Matrix* matrix;
  Activations activations;
  std::byte* x;        ///< rows as quantise_row() left them
  float* scale;        ///< per row
  std::int32_t* zero;  ///< per row: the integer that stands for 0
  float* out;          ///< rows x matrix->out
};

constexpr std::size_t tile_count(std::size_t rows) { return (rows + kMaxRows - 1) / kMaxRows; }
constexpr std::size_t tile_begin(std::size_t rows, std::size_t tiles, std::size_t tile) { return rows * tile / tiles; }

/// Whether activations are kept as bytes (for VNNI's byte product) or as 16-bit numbers.
constexpr bool in_bytes(Activations activations) {
  return REEF_BYTE_PRODUCT != 0 && activations == Activations::kBits8;
}

/// The largest magnitude of a 14-bit activation: narrower for very wide inputs, so that the sum
/// always fits in 32 bits.
constexpr std::int32_t activation_limit(std::size_t in) {
  return static_cast<std::int32_t>(std::min<std::size_t>(8191, 0x7fffffffU / (127 * in)));
}

/// Sums of channels [channel, channel + kWidth) of a row back to floats.
REEF_INLINE void finish(const Product& p, std::size_t row, std::size_t channel, Ints sums) {
  const Matrix& m = *p.matrix;
  const Ints centred = sums - p.zero[row] * get_ints(m.sums + channel);
  const Floats scale = get(m.scale + channel) * p.scale[row];
  put(p.out + row * m.out + channel, __builtin_convertvector(centred, Floats) * scale + get(m.bias + channel));
}

/// Rows first + Row... times one panel, 16-bit activations: a weight is widened once for all rows.
/// The rows are template arguments because g++ 12 keeps sums that a loop indexes in memory, at
/// twice the time.
template <std::size_t... Row>
REEF_TARGET void tile_of_shorts(const Product& p, std::size_t first, std::size_t panel, std::index_sequence<Row...>) {
  using Group = std::int64_t __attribute__((aligned(2), may_alias));
  constexpr std::size_t kRows = sizeof...(Row);
  const std::size_t groups = p.matrix->in / 4;
  const std::int8_t* weights = p.matrix->weights + panel * groups * 64;
  const std::byte* x = p.x + first * p.matrix->in * sizeof(std::int16_t);
  alignas(64) std::int32_t sums[kRows][kPanel];
  for (std::size_t part = 0; part < kPanel; part += 2 * kChannels) {
    Ints a[kRows];
    Ints b[kRows];
    Wide v;
    ((a[Row] = b[Row] = Ints{}), ...);
    const auto* at = reinterpret_cast<const Group*>(x);
    const std::int8_t* w = weights + part * 4;
    for (std::size_t g = 0; g < groups; ++g, at += kRows, w += 64) {
      const Wide wa = widen(w);
      const Wide wb = widen(w + kChannels * 4);
      ((v = spread(at[Row]), a[Row] = add_product(a[Row], wa, v), b[Row] = add_product(b[Row], wb, v)), ...);
    }
    (store_channels(a[Row], b[Row], sums[Row] + part), ...);
  }
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kPanel; i += kWidth) {
      finish(p, first + r, panel * kPanel + i, get_ints(sums[r] + i));
    }
  }
}

#if REEF_BYTE_PRODUCT
/// Rows first + Row... times two panels, byte activations.
template <std::size_t... Row>
REEF_TARGET void tile_of_bytes(const Product& p, std::size_t first, std::size_t panel, std::index_sequence<Row...>) {
  using Group = std::int32_t __attribute__((aligned(1), may_alias));
  constexpr std::size_t kRows = sizeof...(Row);
  const std::size_t step = p.matrix->in * kPanel;
  const std::int8_t* w = p.matrix->weights + panel * step;
  const std::int8_t* const end = w + step;
  const auto* at = reinterpret_cast<const Group*>(p.x + first * p.matrix->in);
  Ints a[kRows];
  Ints b[kRows];
  std::int32_t v = 0;
  ((a[Row] = b[Row] = Ints{}), ...);
  for (; w != end; w += 64, at += kRows) {
    const Wide wa = _mm512_loadu_si512(w);
    const Wide wb = _mm512_loadu_si512(w + step);
    ((v = at[Row], a[Row] = add_byte_product(a[Row], v, wa), b[Row] = add_byte_product(b[Row], v, wb)), ...);
  }
  (finish(p, first + Row, panel * kPanel, a[Row]), ...);
  if ((panel + 1) * kPanel < p.matrix->out) (finish(p, first + Row, (panel + 1) * kPanel, b[Row]), ...);
}
#endif

template <std::size_t Rows>
REEF_TARGET void multiply_tile(const Product& p, std::size_t rows, std::size_t first, std::size_t panel) {
  if (rows == Rows) {
    constexpr auto kEach = std::make_index_sequence<Rows>();
#if REEF_BYTE_PRODUCT
    if (in_bytes(p.activations)) return tile_of_bytes(p, first, panel, kEach);
#endif
    return tile_of_shorts(p, first, panel, kEach);
  }
  if constexpr (Rows > 1) multiply_tile<Rows - 1>(p, rows, first, panel);
}

/// Panels outside, rows inside: each weight comes from memory once, and from L1 after that.
REEF_TARGET void multiply(const Product& p, std::size_t rows) {
  const std::size_t tiles = tile_count(rows);
  const std::size_t step = in_bytes(p.activations) ? 2 : 1;
  for (std::size_t panel = 0; panel < p.matrix->out / kPanel; panel += step) {
    for (std::size_t tile = 0; tile < tiles; ++tile) {
      const std::size_t first = tile_begin(rows, tiles, tile);
      multiply_tile<kMaxRows>(p, tile_begin(rows, tiles, tile + 1) - first, first, panel);
    }
  }
}

/// Where row `row` of `rows` lies in Product::x: groups of four inputs, a tile's rows side by side.
struct RowPlace {
  std::size_t begin;   ///< element of its first group
  std::size_t stride;  ///< elements from one group to the next
};
REEF_INLINE RowPlace place_of(std::size_t row, std::size_t rows, std::size_t width) {
  const std::size_t tiles = tile_count(rows);
  std::size_t tile = row * tiles / rows;  // may be one too low
  while (row >= tile_begin(rows, tiles, tile + 1)) ++tile;
  const std::size_t first = tile_begin(rows, tiles, tile);
  return {first * width + (row - first) * 4, (tile_begin(rows, tiles, tile + 1) - first) * 4};
}

/// One row of activations to integers with a scale of its own.
/// 8 bits: the row's range onto 0..255, zero itself exact (GELU's output is lopsided: its negative
/// side reaches -.17 only). 14 bits: symmetric.
REEF_TARGET void quantise_row(const Product& p, const float* x, std::size_t row, std::size_t rows, std::size_t width) {
  const bool bits8 = p.activations == Activations::kBits8;
  Floats low = all(0);
  Floats high = low;
  for (std::size_t i = 0; i < width; i += kWidth) {
    const Floats v = get(x + i);
    low = smaller(v, low);
    high = larger(v, high);
  }
  const float least = -largest_lane(-low);
  const float most = largest_lane(high);
  const auto limit = static_cast<float>(activation_limit(width));
  const float scale = bits8 ? (most - least) / 255.0F : std::max(-least, most) / limit;
  const float offset = bits8 && scale > 0.0F ? std::floor(-least / scale + .5F) : 0.0F;
  const float inverse = scale > 0.0F ? 1.0F / scale : 0.0F;
  p.scale[row] = scale;
  p.zero[row] = offset >= 0.0F && offset <= 255.0F ? static_cast<std::int32_t>(offset) : 0;
  const Floats floor = all(bits8 ? 0.0F : -limit);
  const Floats ceiling = all(bits8 ? 255.0F : limit);
  const RowPlace place = place_of(row, rows, width);
#if REEF_BYTE_PRODUCT
  using Bytes = unsigned char __attribute__((vector_size(kWidth)));
  if (bits8) {
    std::byte* target = p.x + place.begin;
    for (std::size_t i = 0; i < width; i += kWidth) {
      const Floats q = smaller(larger(get(x + i) * inverse + offset, floor), ceiling);
      const auto narrow = __builtin_convertvector(reinterpret_cast<Ints>(q + kRounder) - kRounderBits, Bytes);
#pragma GCC unroll 4
      for (std::size_t g = 0; g < kWidth / 4; ++g, target += place.stride) {
        std::memcpy(target, reinterpret_cast<const char*>(&narrow) + 4 * g, 4);
      }
    }
    return;
  }
#endif
  std::byte* target = p.x + place.begin * sizeof(std::int16_t);
  for (std::size_t i = 0; i < width; i += kWidth) {
    const Floats q = smaller(larger(get(x + i) * inverse + offset, floor), ceiling);
    const auto narrow = __builtin_convertvector(reinterpret_cast<Ints>(q + kRounder) - kRounderBits, Narrow);
#pragma GCC unroll 4
    for (std::size_t g = 0; g < kWidth / 4; ++g, target += place.stride * sizeof(std::int16_t)) {
      std::memcpy(target, reinterpret_cast<const char*>(&narrow) + 8 * g, 8);
    }
  }
}
