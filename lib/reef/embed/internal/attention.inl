// Attention of one head over one text, in floats.
#pragma once

#include "reef/embed/internal/elementwise.inl"

/// Queries [first, first + Row...) of a text against its keys and values. Keys come transposed
/// (width x padded), so that a register holds the scores of as many tokens as it has lanes.
/// `qkv` is the head's query of the first token; rows are 3 * inner apart.
template <std::size_t... Row>
REEF_TARGET void attend_rows(const float* keys, const float* qkv, std::size_t first, std::size_t tokens,
                             std::size_t inner, std::size_t width, float* scores, float* out,
                             std::index_sequence<Row...>) {
  constexpr std::size_t kRows = sizeof...(Row);
  const std::size_t padded = round_up(tokens, kHeadStep);
  const std::size_t pitch = 3 * inner;
  const std::size_t row[] = {std::min(first + Row, tokens - 1)...};  // the last ones may be computed twice
  const float* query[] = {qkv + row[Row] * pitch...};
  float* score[] = {scores + Row * padded...};
  float factor[kRows];
  for (std::size_t j = 0; j < padded; j += 2 * kWidth) {
    Floats a[kRows];
    Floats b[kRows];
    ((a[Row] = b[Row] = all(0)), ...);
    const float* key = keys + j;
    for (std::size_t d = 0; d < width; ++d, key += padded) {
      const Floats k0 = get(key);
      const Floats k1 = get(key + kWidth);
      ((a[Row] += k0 * query[Row][d], b[Row] += k1 * query[Row][d]), ...);
    }
    ((put(score[Row] + j, a[Row]), put(score[Row] + j + kWidth, b[Row])), ...);
  }
  for (std::size_t r = 0; r < kRows; ++r) {
    float* s = score[r];
    std::fill(s + tokens, s + padded, -1e30F);
    Floats most = get(s);
    for (std::size_t j = kWidth; j < padded; j += kWidth) most = larger(most, get(s + j));
    const float top = largest_lane(most);
    for (std::size_t j = 0; j < tokens; j += kWidth) put(s + j, exponential(get(s + j) - top));
    std::fill(s + tokens, s + padded, 0.0F);
    Sums16 sum;
    clear(sum);
    for (std::size_t j = 0; j < tokens; j += 16) {
#pragma GCC unroll 4
      for (std::size_t k = 0; k < kParts; ++k) sum.part[k] += get(s + j + k * kWidth);
    }
    factor[r] = 1.0F / total(sum);
  }
  for (std::size_t d = 0; d < width; d += 2 * kWidth) {
    Floats a[kRows];
    Floats b[kRows];
    ((a[Row] = b[Row] = all(0)), ...);
    const float* value = qkv + 2 * inner + d;
    for (std::size_t j = 0; j < tokens; ++j, value += pitch) {
      const Floats v0 = get(value);
      const Floats v1 = get(value + kWidth);
      ((a[Row] += v0 * score[Row][j], b[Row] += v1 * score[Row][j]), ...);
    }
    ((put(out + row[Row] * inner + d, a[Row] * factor[Row]),
      put(out + row[Row] * inner + d + kWidth, b[Row] * factor[Row])),
     ...);
  }
}

/// Queries that share the loads of keys and values.
constexpr std::size_t kQueries = 4;

/// Floats that attend() works in, for texts of up to `tokens`.
constexpr std::size_t attention_floats(std::size_t tokens, std::size_t width) {
  return (width + kQueries) * round_up(tokens, kHeadStep);
}

/// One head of one text: `qkv` and `out` point at the head's columns of the text's first row.
REEF_TARGET void attend(const float* qkv, std::size_t tokens, std::size_t inner, std::size_t width, float* out,
                        float* room) {
  const std::size_t padded = round_up(tokens, kHeadStep);
  float* keys = room;
  float* scores = keys + width * padded;
  for (std::size_t j = 0; j < tokens; ++j) {
    const float* key = qkv + j * 3 * inner + inner;
    for (std::size_t d = 0; d < width; ++d) keys[d * padded + j] = key[d];
  }
  for (std::size_t d = 0; d < width; ++d) std::fill(keys + d * padded + tokens, keys + (d + 1) * padded, 0.0F);
  for (std::size_t i = 0; i < tokens; i += kQueries) {
    attend_rows(keys, qkv, i, tokens, inner, width, scores, out, std::make_index_sequence<kQueries>());
  }
}
