#include <algorithm>
#include <array>

#include "reef/retrieve/turn_layer.h"
#include "reef/text/full_text.h"
#include "reef/text/words.h"

namespace reef::retrieve {
namespace {

using text::Word;

/// Roles, and words that questions are made of.
bool is_common(std::string_view word) {
  constexpr std::array<std::string_view, 14> kRoles{"user",   "assistant", "system", "human",    "ai",
                                                    "bot",    "you",       "me",     "tool",     "model",
                                                    "person", "speaker",   "guest",  "anonymous"};
  return word.size() < 2 || std::find(kRoles.begin(), kRoles.end(), word) != kRoles.end() || text::is_stop_word(word);
}

std::string_view without_possessive(std::string_view word) {
  if (word.ends_with("'s")) word.remove_suffix(2);
  return word;
}

/// The words of a speaker's name; none where it names nobody.
using Name = std::vector<std::string>;

Name name_of(std::string_view speaker) {
  Name name;
  for (const Word& word : text::words(speaker)) name.emplace_back(without_possessive(word.folded));
  if (std::all_of(name.begin(), name.end(), is_common)) name.clear();
  return name;
}

/// How many words of the question, from `at` on, are that name or a part of it.
std::size_t words_named(const std::vector<Word>& question, std::size_t at, const Name& name) {
  const auto word = [&](std::size_t i) { return without_possessive(question[i].folded); };
  std::size_t same = 0;
  while (same < name.size() && at + same < question.size() && word(at + same) == name[same]) ++same;
  if (same == name.size()) return same;
  const bool is_part =
      question[at].capital && !is_common(word(at)) && std::find(name.begin(), name.end(), word(at)) != name.end();
  return is_part ? 1 : 0;
}

/// Behind a word, with the apostrophe of "James' boat"; that of a quoted 'James' is not its own.
std::size_t end_of(std::string_view text, const Word& word) {
  const std::string_view before = text.substr(0, word.start), behind = text.substr(word.end);
  if (!word.folded.ends_with('s') || before.ends_with('\'') || before.ends_with("\u2018")) return word.end;
  for (const std::string_view mark : {"'", "\u2019"})
    if (behind.starts_with(mark)) return word.end + mark.size();
  return word.end;
}

}  // namespace

std::vector<bool> named_speakers(std::string_view question, std::span<const std::string> speakers) {
  const auto words = text::words(question);
  std::vector<bool> named(speakers.size() + 1);
  for (std::size_t i = 0; i < speakers.size(); ++i) {
    const Name name = name_of(speakers[i]);
    for (std::size_t at = 0; at < words.size() && !name.empty() && !named[i + 1]; ++at)
      named[i + 1] = words_named(words, at, name) > 0;
  }
  return named;
}

std::string without_names(std::string_view question, std::span<const std::string> speakers) {
  const auto words = text::words(question);
  std::vector<std::size_t> named(words.size());  // how many words, from each on
  for (const std::string& speaker : speakers) {
    const Name name = name_of(speaker);
    for (std::size_t at = 0; at < words.size() && !name.empty(); ++at)
      named[at] = std::max(named[at], words_named(words, at, name));
  }
  std::string rest;
  std::size_t copied = 0;
  bool others = false;
  for (std::size_t at = 0; at < words.size();) {
    if (named[at] == 0) {
      others = true;
      ++at;
      continue;
    }
    rest += question.substr(copied, words[at].start - copied);
    at += named[at];
    copied = end_of(question, words[at - 1]);
    if (copied < question.size() && question[copied] == ' ' && (rest.empty() || rest.back() == ' ')) ++copied;
  }
  rest += question.substr(copied);
  return others ? rest : std::string(question);
}

}  // namespace reef::retrieve
