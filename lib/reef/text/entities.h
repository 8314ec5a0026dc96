#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "reef/text/words.h"

namespace reef::text {

/// Somebody or something by its own name: "Anna Smith", "Lord of the Rings", "PS5".
struct Name {
  std::string written;  ///< as the text has it, without a possessive 's
  std::string folded;   ///< its words folded, one blank between: what names are compared by
};

/// Whether a name, folded, was seen before.
using KnownName = std::function<bool(std::string_view)>;

/// The names in a text, the first 64, each once: runs of capitalised words, none of them a day, a month or a word of
/// grammar. Where a sentence begins, a capital says nothing: there it takes a known name. A text in capitals names only
/// what is known.
std::vector<Name> find_names(std::string_view text, const std::vector<Word>& words, const KnownName& known);

/// How many times and dates a text names: days, months, years, "yesterday", "next week", "two years ago", "7:30".
int count_dates(const std::vector<Word>& words);

/// What words say about the one who says them, and about what was said.
struct Cues {
  bool first_person = false;  ///< "I", "my", "we"
  bool past = false;          ///< refers to the past or to earlier talk: "last time", "you said", "used to"
  bool greeting = false;      ///< begins as a greeting, thanks or an answer of politeness does
  bool personal = false;      ///< states a fact of the speaker's: "my name is", "I live in", "I'm allergic to"
  bool asked = false;         ///< asks to remember: "please remember", "make a note"
  bool question = false;      ///< ends with a question mark
};
Cues find_cues(std::string_view text, const std::vector<Word>& words);

}  // namespace reef::text
