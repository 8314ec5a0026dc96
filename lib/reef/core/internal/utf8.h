#pragma once

#include <cstddef>
#include <string_view>

namespace reef::internal {

/// One step through text that may be ill-formed.
struct Utf8Step {
  char32_t code = 0;       ///< the character; U+FFFD when ill-formed
  std::size_t length = 0;  ///< bytes: of the character, or of the maximal ill-formed subpart
  bool valid = false;
};

/// The first character of `text`, which must not be empty.
/// Source of the byte ranges: The Unicode Standard 15.0, table 3-7 and section 3.9 (U+FFFD
/// substitution of maximal subparts).
Utf8Step utf8_step(std::string_view text);

/// How many bytes at the beginning of `text` are ASCII (found eight at a time: almost all are).
std::size_t ascii_prefix(std::string_view text);

}  // namespace reef::internal
