// The layers of the encoder, for one instruction set.
#pragma once

#include "reef/embed/internal/attention.inl"
#include "reef/embed/internal/product.inl"

/// Where a batch's intermediate results lie in the workspace.
struct Room {
  float* x;      ///< rows x hidden: the residual stream
  float* wide;   ///< rows x max(3 inner, ffn): query, key, value; then the inner layer; then sums
  float* mixed;  ///< rows x inner: what attention gathered
  float* attention;
  Product product;
};

REEF_INLINE Room divide(Workspace& workspace, const Network& net, std::size_t rows, std::size_t longest,
                        Activations activations) {
  const std::size_t wide = std::max(std::max(3 * net.inner(), net.ffn), net.hidden);
  const std::size_t widest_input = std::max(std::max(net.inner(), net.ffn), net.hidden);
  std::size_t floats = 0;
  const auto take = [&floats](std::size_t count) { return std::exchange(floats, round_up(floats + count, 16)); };
  const std::size_t x = take(rows * net.hidden);
  const std::size_t y = take(rows * wide);
  const std::size_t mixed = take(rows * net.inner());
  const std::size_t attention = take(attention_floats(longest, net.head_width));
  const std::size_t scale = take(rows);
  const std::size_t zero = take(rows);
  const std::size_t quantised = take(rows * widest_input / 2);
  std::byte* base = workspace.reserve(floats * sizeof(float));
  auto* at = reinterpret_cast<float*>(base);
  Room room{at + x, at + y, at + mixed, at + attention, {}};
  room.product = {nullptr,
                  activations,
                  base + quantised * sizeof(float),
                  at + scale,
                  reinterpret_cast<std::int32_t*>(base + zero * sizeof(float)),
                  nullptr};
  return room;
}

/// The embedding of one token: its word's row, its position's and token type 0's.
REEF_TARGET void embed_token(const Network& net, std::uint32_t id, std::size_t position, float* x) {
  const std::uint8_t* entry = net.word_rows + id * net.row_bytes();
  float scale = 0;
  std::memcpy(&scale, entry, sizeof scale);
  const auto* values = reinterpret_cast<const signed char*>(entry + sizeof scale);
  const float* place = net.position_rows + position * net.hidden;
  for (std::size_t i = 0; i < net.hidden; ++i) x[i] = scale * static_cast<float>(values[i]) + place[i];
  normalise(x, net.first_norm, net.epsilon, net.hidden);
}

/// Quantises rows of the matrix' input width and multiplies them.
REEF_TARGET void multiply_rows(Room& room, const Matrix& matrix, const float* in, std::size_t rows, float* out) {
  room.product.matrix = &matrix;
  room.product.out = out;
  for (std::size_t i = 0; i < rows; ++i) quantise_row(room.product, in + i * matrix.in, i, rows, matrix.in);
  multiply(room.product, rows);
}

REEF_TARGET void add_and_normalise(const Network& net, const float* sums, const Norm& norm, std::size_t rows,
                                   float* x) {
  for (std::size_t i = 0; i < rows; ++i, x += net.hidden, sums += net.hidden) {
    add_row(x, sums, net.hidden);
    normalise(x, norm, net.epsilon, net.hidden);
  }
}

REEF_TARGET void apply_layer(const Network& net, const Layer& layer, std::span<const Tokens> texts, std::size_t rows,
                             Room& room) {
  const std::size_t inner = net.inner();
  multiply_rows(room, layer.qkv, room.x, rows, room.wide);
  std::size_t begin = 0;
  for (const Tokens& text : texts) {
    for (std::size_t head = 0; head < net.heads; ++head) {
      const std::size_t column = head * net.head_width;
      attend(room.wide + begin * 3 * inner + column, text.size(), inner, net.head_width,
             room.mixed + begin * inner + column, room.attention);
    }
    begin += text.size();
  }
  multiply_rows(room, layer.mix, room.mixed, rows, room.wide);
  add_and_normalise(net, room.wide, layer.after_mix, rows, room.x);
  multiply_rows(room, layer.up, room.x, rows, room.wide);
  for (std::size_t i = 0; i < rows; ++i) gelu_row(room.wide + i * net.ffn, net.ffn);
  // The rows are integers by the time that their sums overwrite them.
  multiply_rows(room, layer.down, room.wide, rows, room.wide);
  add_and_normalise(net, room.wide, layer.after_down, rows, room.x);
}

REEF_TARGET void forward(const Network& net, std::span<const Tokens> texts, Activations activations,
                         Workspace& workspace, float* out) {
  std::size_t rows = 0;
  std::size_t longest = 0;
  for (const Tokens& text : texts) {
    rows += text.size();
    longest = std::max(longest, text.size());
  }
  Room room = divide(workspace, net, rows, longest, activations);
  float* x = room.x;
  for (const Tokens& text : texts) {
    for (std::size_t i = 0; i < text.size(); ++i, x += net.hidden) embed_token(net, text[i], i, x);
  }
  for (const Layer& layer : net.layers) apply_layer(net, layer, texts, rows, room);
  x = room.x;
  for (const Tokens& text : texts) {
    std::copy_n(x, net.hidden, out);
    if (net.mean_pooling) {
      for (std::size_t i = 1; i < text.size(); ++i) add_row(out, x + i * net.hidden, net.hidden);
    }
    to_unit_length(out, net.hidden);
    x += text.size() * net.hidden;
    out += net.hidden;
  }
}
