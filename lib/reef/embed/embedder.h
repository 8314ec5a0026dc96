#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "reef/core/progress.h"

namespace reef::embed {

/// What identifies the vectors of a model: stored in every index, compared before every search.
struct Identity {
  std::string name;    ///< for people
  std::string digest;  ///< hex; equal digests mean interchangeable vectors
  std::size_t dim = 0;
};

/// Texts to unit vectors. Implementations: Encoder (local) and Endpoint (OpenAI-compatible).
/// Calls on one object come from one thread at a time.
class Embedder {
 public:
  virtual ~Embedder() = default;

  virtual Identity identity() const = 0;
  /// The most tokens a passage may have before its end is ignored, special tokens and the
  /// passage prefix already taken off: what a chunk may fill.
  virtual std::size_t passage_tokens() const = 0;
  /// Tokens of `text` alone, without special tokens. Additive over texts that are joined at white
  /// space, so a chunker may count sentences one by one.
  virtual std::size_t count_tokens(std::string_view text) const = 0;

  /// One question; the prefix of the model is added. `out` has dim() floats.
  virtual void embed_query(std::string_view text, std::span<float> out) = 0;
  /// texts.size() x dim floats, row i for text i; the same bytes however the texts are batched.
  /// Advances `progress` by one per text; throws Error{interrupted} between batches.
  virtual void embed_passages(std::span<const std::string_view> texts, std::span<float> out, unsigned threads,
                              Progress& progress) = 0;
};

}  // namespace reef::embed
