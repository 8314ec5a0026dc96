#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/progress.h"
#include "reef/embed/internal/network.h"
#include "reef/embed/tokenizer.h"

namespace reef::embed::internal {

/// Vectors of one batch: texts in, texts.size() x dim floats out. Called from several threads, each
/// with a worker number of its own.
using EmbedBatch = std::function<void(std::size_t worker, std::span<const Tokens> texts, float* out)>;

/// What is left of `max_tokens` for a passage's own text: without [CLS], [SEP] and the prefix.
std::size_t passage_tokens(const std::string& prefix, std::size_t max_tokens, const Tokenizer& tokenizer);

/// Tokenises `prefix` + each text and hands the texts to `embed` in batches of about 256 rows.
/// Sorted by length, so that batches cost alike, and longest first, so that no thread waits long
/// for another at the end. Row i of `out` (texts.size() x dim) is for text i.
void embed_in_batches(const Tokenizer& tokenizer, const std::string& prefix, std::size_t max_tokens,
                      std::span<const std::string_view> texts, std::size_t dim, unsigned threads, Progress& progress,
                      const EmbedBatch& embed, std::span<float> out);

}  // namespace reef::embed::internal
