#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reef::memory {

/// SHA-256, in hex, of the text folded (text::folded()): what the same words have in common, however they are written.
std::string content_hash(std::string_view text);

/// What a sentence says of who says it: "my phone number is now 555-0100", "I live in Lisbon". Hashes of the folded
/// words, of the attribute together with its speaker.
struct Attribute {
  std::int64_t slot = 0;
  std::int64_t value = 0;
};

/// What must agree before two texts of near vectors may count as one.
struct Statement {
  std::vector<std::string> figures;  ///< sorted: numbers in digits or words, days and months
  int negations = 0;                 ///< "not", "never", "don't", …
  bool personal = false;             ///< says "I" or "you": another speaker means another thing
  std::optional<Attribute> attribute;
};

Statement read_statement(std::string_view text, std::string_view speaker);

/// Same figures, same negation.
bool agree(const Statement& a, const Statement& b);

}  // namespace reef::memory
