#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

/// Characters as BERT's tokenizer sees them. The tables behind it are generated, and pinned to
/// Hugging Face's `tokenizers` (scripts/generate-unicode-tables says why); utf8proc is not used
/// here because another version of Unicode would give other ids.
namespace reef::embed::internal {

/// What a code point is; several may hold ("\v" is control and space).
enum CharClass : std::uint8_t {
  kControl = 1,      ///< dropped by clean_text, U+0000 and U+FFFD too
  kSpace = 2,        ///< ends a word
  kPunctuation = 4,  ///< a word of its own
  kMark = 8,         ///< nonspacing mark: dropped by strip_accents
  kCjk = 16,         ///< ideograph: a word of its own with handle_chinese_chars
  kNonstarter = 32,  ///< stays with strip_accents, and is put in canonical order: combining_class()
  kBarrier = 64,     ///< a kMark of combining class 0: no nonstarter moves across it
};

/// At most four code points that stand for one.
struct Sequence {
  std::array<std::uint32_t, 4> codes{};  ///< ended by 0 when shorter

  constexpr std::size_t size() const {
    std::size_t count = 0;
    while (count < codes.size() && codes[count] != 0) ++count;
    return count;
  }
};

/// Classes of ASCII, for loops that cannot afford a call a character.
extern const std::array<std::uint8_t, 128> kAsciiClass;

std::uint8_t char_class(std::uint32_t code);

/// The canonical combining class of a kNonstarter, 0 for everything else.
std::uint8_t combining_class(std::uint32_t code);

/// The canonical decomposition without its nonspacing marks; empty for a kMark.
Sequence strip_accents(std::uint32_t code);

/// Lower case without context: only U+0130 has two code points.
Sequence to_lower(std::uint32_t code);

}  // namespace reef::embed::internal
