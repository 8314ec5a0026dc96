#include <algorithm>
#include <array>

#include "reef/retrieve/turn_layer.h"
#include "reef/text/full_text.h"

namespace reef::retrieve {
namespace {

/// Letters, digits and every byte that is not ASCII; an apostrophe belongs to the word before it ("Anna's").
bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 0x80;
}

struct Word {
  std::size_t begin, end;  ///< with a possessive
  std::string folded;      ///< without it
};

std::string folded(std::string_view word) {
  std::string text(word);
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// "'s" or the same with a typographic apostrophe: its length at `at`, else 0.
std::size_t possessive(std::string_view text, std::size_t at) {
  for (const std::string_view mark : {"'s", "\u2019s", "'", "\u2019"})
    if (text.substr(at).starts_with(mark)) {
      const std::size_t end = at + mark.size();
      const bool ends_word = end >= text.size() || !is_word_byte(text[end]);
      if (ends_word) return mark.size();
    }
  return 0;
}

std::vector<Word> words_of(std::string_view text) {
  std::vector<Word> words;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_word_byte(text[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < text.size() && is_word_byte(text[end]) && possessive(text, end) == 0) ++end;
    words.push_back({i, end + possessive(text, end), folded(text.substr(i, end - i))});
    i = std::max(words.back().end, i + 1);
  }
  return words;
}

/// Roles, and words that questions are made of.
bool is_common(const std::string& word) {
  constexpr std::array<std::string_view, 14> kRoles{"user",   "assistant", "system", "human",    "ai",
                                                    "bot",    "you",       "me",     "tool",     "model",
                                                    "person", "speaker",   "guest",  "anonymous"};
  if (word.size() < 2 || std::find(kRoles.begin(), kRoles.end(), word) != kRoles.end()) return true;
  const auto terms = text::query_terms(word + " x");  // stop words fall out beside another word
  return std::find(terms.begin(), terms.end(), word) == terms.end() &&
         std::all_of(word.begin(), word.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::vector<std::string> names_of(std::string_view speaker) {
  std::vector<std::string> names;
  for (const Word& word : words_of(speaker))
    if (!is_common(word.folded)) names.push_back(word.folded);
  return names;
}

bool is_named(const std::vector<Word>& question, const std::vector<std::string>& names) {
  return std::any_of(question.begin(), question.end(), [&](const Word& word) {
    return std::find(names.begin(), names.end(), word.folded) != names.end();
  });
}

}  // namespace

std::vector<bool> named_speakers(std::string_view question, std::span<const std::string> speakers) {
  const auto words = words_of(question);
  std::vector<bool> named(speakers.size() + 1);
  for (std::size_t i = 0; i < speakers.size(); ++i) named[i + 1] = is_named(words, names_of(speakers[i]));
  return named;
}

std::string without_names(std::string_view question, std::span<const std::string> speakers) {
  std::vector<std::string> names;
  for (const std::string& speaker : speakers)
    for (std::string& name : names_of(speaker)) names.push_back(std::move(name));
  std::string rest;
  std::size_t copied = 0;
  bool others = false;
  for (const Word& word : words_of(question)) {
    if (std::find(names.begin(), names.end(), word.folded) == names.end()) {
      others = true;
      continue;
    }
    rest += question.substr(copied, word.begin - copied);
    copied = word.end;
    if (copied < question.size() && question[copied] == ' ' && (rest.empty() || rest.back() == ' ')) ++copied;
  }
  rest += question.substr(copied);
  return others ? rest : std::string(question);
}

}  // namespace reef::retrieve
