#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace reef::text {

/// A word where it stands in a text.
struct Word {
  std::string folded;     ///< lower case, without accents, every apostrophe "'"
  std::size_t start = 0;  ///< bytes [start, end) of the text
  std::size_t end = 0;
  bool capital = false;  ///< begins with a capital letter, or has one inside ("iPhone")
  bool shouted = false;  ///< more than one letter, all capital
  bool opens = false;    ///< begins a sentence, a line or what is quoted: there a capital says little
};

/// The words of a text, which may be ill-formed UTF-8: letters and digits, apostrophes between letters ("don't"), marks
/// of time and number between digits ("7:30", "2023-05-08"). Each ideograph or kana is a word.
std::vector<Word> words(std::string_view text);

/// What words mean apart from grammar: no stop words and no contractions of them ("don't"), no possessive 's; each
/// once, sorted.
std::vector<std::string> terms(const std::vector<Word>& words);

/// Whether `phrase`, words with one blank between, begins at word `at`.
bool stands_at(const std::vector<Word>& words, std::size_t at, std::string_view phrase);

}  // namespace reef::text
