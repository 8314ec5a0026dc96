#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "reef/text/chunk.h"
#include "reef/text/internal/sentences.h"

namespace reef::text::internal {

/// What a chunk is packed from: a sentence, a line of code, a whole code block or table, or a piece
/// of one that is too long.
struct Unit {
  std::size_t start = 0;  ///< in Document::text
  std::size_t end = 0;
  std::size_t cost = 0;       ///< tokens, the white space before it included; at least 1
  std::uint32_t section = 0;  ///< blocks in a row under one heading path
  std::uint32_t block = 0;
  bool breaks = false;  ///< must not follow its predecessor in one chunk (a word was cut there)
};

/// Blocks in a row with one heading path, and what a chunk may hold that starts there.
struct Section {
  std::string path;      ///< shortened until title and path leave half of the tokens to the text
  std::size_t room = 0;  ///< tokens
};

struct Units {
  std::vector<Unit> units;
  std::vector<Section> sections;
};

/// Cuts a document so that every unit fits the room of its section. A unit costs what `count` says
/// of it, and at least a token for every 32 bytes: a vocabulary may call a megabyte without a space
/// one unknown word, but nobody wants to read it as one chunk.
Units cut_units(const Document& document, const TokenCounter& count, std::size_t max_tokens);

}  // namespace reef::text::internal
