#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace reef::embed::internal {

/// Token ids of one text, [CLS] and [SEP] included.
using Tokens = std::vector<std::uint32_t>;

/// Channels in a panel of weights.
inline constexpr std::size_t kPanel = 16;
/// Panels come in pairs, the last one filled with zeros where the matrix has an odd number.
inline constexpr std::size_t kPanelPair = 2 * kPanel;
/// A head's width is filled up to a multiple of this with zeros, which change no sum.
inline constexpr std::size_t kHeadStep = 32;

/// The widest input of a matrix: 255 * 127 * 65536 still fits in 32 bits.
inline constexpr std::size_t kWidestInput = 65536;

constexpr std::size_t round_up(std::size_t value, std::size_t step) { return (value + step - 1) / step * step; }

/// A dense layer of `in` x `out`, both multiples of 16, its weights rounded to 8 bits symmetrically
/// with one scale per output channel.
///
/// weights[ceil(out/32)*2 panels][in/4 groups][16 channels][4 inputs]: one line of 64 bytes is what
/// one VNNI instruction multiplies; AVX2 takes halves of it and SSE2 quarters, so one file serves
/// all. A panel is read straight through, which the hardware's prefetcher follows.
struct Matrix {
  const std::int8_t* weights = nullptr;
  const float* scale = nullptr;        ///< per channel: real weight = scale * weight
  const float* bias = nullptr;         ///< per channel
  const std::int32_t* sums = nullptr;  ///< per channel: sum of the weights, for activations with a zero point
  std::size_t in = 0;
  std::size_t out = 0;
};

/// Gain and shift of a LayerNorm, `hidden` floats each.
struct Norm {
  const float* gain = nullptr;
  const float* shift = nullptr;
};

struct Layer {
  Matrix qkv;  ///< hidden -> 3 x inner; query already divided by the root of the head's width
  Matrix mix;  ///< inner -> hidden
  Norm after_mix;
  Matrix up;    ///< hidden -> ffn
  Matrix down;  ///< ffn -> hidden
  Norm after_down;
};

/// A BERT encoder as pointers into a compiled file.
struct Network {
  std::size_t hidden = 0;
  std::size_t heads = 0;
  std::size_t head_width = 0;  ///< filled up to a multiple of kHeadStep
  std::size_t ffn = 0;
  std::size_t words = 0;
  std::size_t positions = 0;
  float epsilon = 0;         ///< of every LayerNorm
  bool mean_pooling = true;  ///< else the first token's vector
  Norm first_norm;
  std::vector<Layer> layers;
  const float* position_rows = nullptr;     ///< positions x hidden; token type 0 already added
  const std::uint8_t* word_rows = nullptr;  ///< words x row_bytes(): a float's scale, then hidden 8-bit values

  std::size_t inner() const { return heads * head_width; }
  std::size_t row_bytes() const { return sizeof(float) + hidden; }
};

}  // namespace reef::embed::internal
