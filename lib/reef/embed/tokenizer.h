#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reef::embed {

/// BERT's tokenizer over a block of compile_vocabulary(): the ids that Hugging Face's `tokenizers`
/// gives for the same tokenizer.json. Input that is no UTF-8 is read with U+FFFD in its place.
class Tokenizer {
 public:
  /// `block` (8-byte aligned) must outlive the tokenizer. Checks every bound once; Error{corrupt} otherwise.
  explicit Tokenizer(std::span<const std::uint8_t> block);

  /// [CLS] … [SEP], cut to `max_tokens`.
  std::vector<std::uint32_t> encode(std::string_view text, std::size_t max_tokens) const;
  /// Tokens without [CLS] and [SEP].
  std::size_t count(std::string_view text) const;
  std::size_t vocabulary_size() const;
  /// Bytes of the block that every text needs (the table and the pieces): for read-ahead.
  std::size_t block_bytes() const;

 private:
  std::span<const std::uint8_t> block_;
};

}  // namespace reef::embed
