#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace reef::test {

/// A random BERT encoder, small enough to make and to run in milliseconds.
struct TinyModel {
  /// How the weights are stored. Every value is exact in all three, so vectors are equal bytes.
  enum class Weights { f32, f16, bf16 };

  std::size_t dim = 64;  ///< a multiple of 16
  std::size_t layers = 2;
  std::size_t heads = 4;
  std::size_t ffn = 256;
  std::size_t positions = 128;
  Weights weights = Weights::f32;
  bool bert_prefix = false;  ///< tensors are called "bert.…"
  std::uint32_t seed = 1;
};

/// Writes model.safetensors, config.json and tokenizer.json into `folder`, making it if need be.
/// About 270 pieces: ASCII punctuation, digits and letters with their "##" pieces, and common
/// English words, so that any ASCII text tokenises without [UNK]. The same bytes for equal options.
void write_tiny_model(const std::filesystem::path& folder, const TinyModel& model = {});

}  // namespace reef::test
