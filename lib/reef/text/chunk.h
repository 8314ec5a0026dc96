#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "reef/text/document.h"

namespace reef::text {

using TokenCounter = std::function<std::size_t(std::string_view)>;

/// Tokens where no embedder counts: four bytes each, about what WordPiece makes of English.
constexpr std::size_t estimated_tokens(std::string_view text) { return (text.size() + 3) / 4; }

struct ChunkOptions {
  std::size_t max_tokens = 254;     ///< what an embedder reads of a passage, title and heading included
  std::size_t overlap_tokens = 32;  ///< whole sentences repeated from the end of the last chunk
};

/// A piece of a document that is embedded, searched and cited as one.
struct Chunk {
  std::string text;          ///< the document's bytes [start, end), trimmed
  std::string heading_path;  ///< of its first block, without its outer parts where it is too long
  std::uint64_t start = 0;   ///< in the whole document's extracted text
  std::uint64_t end = 0;
  std::uint32_t page = 0;
};

/// Cuts on block, then sentence, then word boundaries, never inside a UTF-8 character; every byte
/// of a block that is not white space is in at least one chunk. Deterministic, O(text).
///
/// passage_text() of every chunk has at most max_tokens by `count`, which must add up over pieces
/// that white space or a sentence's end separates; only a title that alone takes more than three
/// quarters of max_tokens is not made room for. A chunk has at most 32 bytes for each token, since a
/// vocabulary may call a megabyte without a space one word.
std::vector<Chunk> chunk(const Document& document, const TokenCounter& count, const ChunkOptions& options);

/// What is embedded for a chunk: title (its first 200 bytes) and heading path where they add words,
/// then the text.
std::string passage_text(std::string_view title, std::string_view heading_path, std::string_view text);

}  // namespace reef::text
