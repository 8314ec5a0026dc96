#include "reef/text/words.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "reef/core/text.h"
#include "reef/text/full_text.h"
#include "reef/text/internal/strings.h"

namespace reef::text {
namespace {

struct Character {
  char32_t code = 0;
  std::size_t length = 1;
  bool letter = false, digit = false, upper = false;

  bool in_word() const { return letter || digit; }
};

Character character_at(std::string_view text, std::size_t at) {
  Character c;
  if (static_cast<unsigned char>(text[at]) < 0x80) {
    c.code = static_cast<char32_t>(text[at]);
    c.letter = internal::is_alpha(text[at]);
    c.digit = internal::is_digit(text[at]);
    c.upper = internal::is_upper(text[at]);
    return c;
  }
  utf8proc_int32_t code = 0;
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                       static_cast<utf8proc_ssize_t>(text.size() - at), &code);
  if (length <= 0) return c;  // ill-formed: parts words
  c.code = static_cast<char32_t>(code);
  c.length = static_cast<std::size_t>(length);
  const auto category = utf8proc_category(code);
  c.letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_MC;
  c.digit = category == UTF8PROC_CATEGORY_ND;
  c.upper = category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
  return c;
}

bool is_apostrophe(char32_t code) { return code == '\'' || code == 0x2019 || code == 0x02BC; }
bool stands_alone(char32_t code) { return (code >= 0x3041 && code <= 0x30FF) || (code >= 0x3400 && code <= 0x9FFF); }

/// What may stand between two characters of one word.
bool joins(const Character& before, const Character& between, const Character& after) {
  if (is_apostrophe(between.code)) return before.letter && after.letter;
  constexpr std::u32string_view kInNumbers = U".,:/-";
  return before.digit && after.digit && kInNumbers.find(between.code) != std::u32string_view::npos;
}

std::string folded_word(std::string_view word) {
  if (std::all_of(word.begin(), word.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return internal::lower_case(word);
  utf8proc_uint8_t* mapped = nullptr;
  const auto length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(word.data()), static_cast<utf8proc_ssize_t>(word.size()), &mapped,
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD |
                                     UTF8PROC_STRIPMARK | UTF8PROC_IGNORE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> holder(mapped, &std::free);
  if (length < 0) throw std::bad_alloc();  // the only way to fail: the word is valid
  std::string folded(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length));
  for (const std::string_view apostrophe : {"\u2019", "\u02BC"})
    for (std::size_t at = 0; (at = folded.find(apostrophe, at)) != std::string::npos;)
      folded.replace(at, apostrophe.size(), "'");
  return folded;
}

/// Whether a sentence may begin behind `gap`, what stands between two words: all but blanks, commas and hyphens says
/// so.
bool ends_sentence(std::string_view gap) {
  for (std::size_t i = 0; i < gap.size(); ++i) {
    const char c = gap[i];
    // A hyphen between blanks is a dash.
    if (c == '-' && i > 0 && gap[i - 1] == ' ') return true;
    if (c == ' ' || c == '\t' || c == ',' || c == '-' || c == '&' || c == '/' || c == '@') continue;
    if (c == '\'' && (i + 1 == gap.size() || gap[i + 1] == ' ')) continue;  // "the boys' room"
    return true;
  }
  return false;
}

/// Words whose full stop ends no sentence.
bool is_title(std::string_view word) {
  constexpr auto kTitles = std::to_array<std::string_view>({"dr", "mr", "mrs", "ms", "mt", "prof", "st"});
  return std::binary_search(kTitles.begin(), kTitles.end(), word);
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::vector<Word> read() {
    std::size_t end_before = 0;
    for (std::size_t at = 0; at < text_.size();) {
      const Character first = character_at(text_, at);
      if (!first.in_word()) {
        at += first.length;
        continue;
      }
      Word word = read_word(at, first);
      const std::string_view gap = text_.substr(end_before, at - end_before);
      const bool after_title = gap == ". " && !words_.empty() && is_title(words_.back().folded);
      word.opens = words_.empty() || (ends_sentence(gap) && !after_title);
      at = end_before = word.end;
      if (!word.folded.empty()) words_.push_back(std::move(word));
    }
    return std::move(words_);
  }

 private:
  Word read_word(std::size_t start, Character last) const {
    Word word;
    word.start = start;
    word.end = start + last.length;
    word.capital = last.upper;
    std::size_t letters = last.letter ? 1 : 0, capitals = last.upper ? 1 : 0;
    while (word.end < text_.size() && !stands_alone(last.code)) {
      Character next = character_at(text_, word.end);
      std::size_t end = word.end + next.length;
      if (!next.in_word()) {
        if (end >= text_.size()) break;
        const Character behind = character_at(text_, end);
        if (!joins(last, next, behind)) break;
        next = behind;
        end += behind.length;
      }
      if (stands_alone(next.code)) break;
      letters += next.letter ? 1 : 0;
      capitals += next.upper ? 1 : 0;
      last = next;
      word.end = end;
    }
    word.shouted = letters > 1 && capitals == letters;
    word.capital = word.capital || (capitals > 0 && letters > capitals);
    word.folded = folded_word(text_.substr(word.start, word.end - word.start));
    return word;
  }

  std::string_view text_;
  std::vector<Word> words_;
};

/// The part of a word that is counted; empty for none.
std::string_view term(std::string_view word) {
  if (word.ends_with("n't")) return {};
  const std::size_t apostrophe = word.rfind('\'');
  if (apostrophe != std::string_view::npos && word.size() - apostrophe <= 3) word = word.substr(0, apostrophe);
  return is_stop_word(word) ? std::string_view{} : word;
}

}  // namespace

std::vector<Word> words(std::string_view text) { return Reader(text).read(); }

std::vector<std::string> terms(const std::vector<Word>& words) {
  std::vector<std::string> found;
  for (const Word& word : words)
    if (const auto counted = term(word.folded); !counted.empty()) found.emplace_back(counted);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

bool stands_at(const std::vector<Word>& words, std::size_t at, std::string_view phrase) {
  for (; at < words.size(); ++at) {
    const std::string_view word = words[at].folded;
    if (!phrase.starts_with(word)) return false;
    phrase.remove_prefix(word.size());
    if (phrase.empty()) return true;
    if (phrase.front() != ' ') return false;
    phrase.remove_prefix(1);
  }
  return false;
}

}  // namespace reef::text
