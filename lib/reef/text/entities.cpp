#include "reef/text/entities.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "reef/text/full_text.h"
#include "reef/text/internal/strings.h"
#include "reef/text/internal/word_tables.h"

namespace reef::text {
namespace {

using internal::has;

constexpr std::size_t kMostNames = 64;  ///< of one text; lists have more, and say less

std::string_view without_possessive(std::string_view word) {
  for (const std::string_view ending : {"'s", "\u2019s", "'S"})
    if (word.ends_with(ending)) return word.substr(0, word.size() - ending.size());
  return word;
}

class NameFinder {
 public:
  NameFinder(std::string_view text, const std::vector<Word>& words, const KnownName& known)
      : text_(text), words_(words), known_(known) {
    std::size_t shouted = 0, inside = 0, capital = 0;
    for (const Word& word : words) {
      shouted += word.shouted ? 1 : 0;
      inside += word.opens ? 0 : 1;
      capital += word.capital && !word.opens ? 1 : 0;
    }
    // Somebody shouts, or writes a headline.
    capitals_say_nothing_ =
        (words.size() > 3 && shouted * 2 > words.size()) || (capital > 3 && capital * 4 > inside * 3);
  }

  std::vector<Name> find() {
    for (std::size_t i = 0; i < words_.size() && names_.size() < kMostNames;) {
      if (!may_name(i)) {
        ++i;
        continue;
      }
      std::size_t end = i + 1;
      while (const std::size_t next = continued(end)) end = next;
      take(i, end);
      i = end;
    }
    return std::move(names_);
  }

 private:
  std::string_view gap(std::size_t i) const {
    return text_.substr(words_[i - 1].end, words_[i].start - words_[i - 1].end);
  }

  bool may_name(std::size_t i) const {
    const Word& word = words_[i];
    if (!word.capital) return false;
    std::string_view folded = word.folded;
    folded = folded.substr(0, folded.find('\''));
    return !is_stop_word(folded) && !has(internal::kNoNames, folded) && !internal::is_day(folded) &&
           !internal::is_month(folded) && !has(internal::kShortDays, folded) && !has(internal::kShortMonths, folded) &&
           !has(internal::kNearDays, folded);
  }

  /// The end of a run that goes on with word `i`: with it, or with "of" or the like and a name behind; 0 if it does
  /// not.
  std::size_t continued(std::size_t i) const {
    const auto near = [&](std::size_t at) {
      const auto between = gap(at);
      return between == " " || between == "-" || between == " & " || (between == ". " && !words_[at].opens);
    };
    if (i >= words_.size() || !near(i)) return 0;
    if (may_name(i)) return i + 1;
    if (!has(internal::kInNames, words_[i].folded)) return 0;
    const std::size_t behind = i + 1 < words_.size() && words_[i + 1].folded == "the" ? i + 2 : i + 1;
    return behind < words_.size() && gap(behind) == " " && may_name(behind) ? behind + 1 : 0;
  }

  Name name(std::size_t begin, std::size_t end) const {
    Name name;
    name.written = without_possessive(text_.substr(words_[begin].start, words_[end - 1].end - words_[begin].start));
    for (std::size_t i = begin; i < end; ++i) name.folded += (i == begin ? "" : " ") + words_[i].folded;
    name.folded = without_possessive(name.folded);
    return name;
  }

  void take(std::size_t begin, std::size_t end) {
    Name found = name(begin, end);
    if (words_[begin].opens || capitals_say_nothing_) {
      if (!known_(found.folded)) {
        // The first word is only the sentence's; what follows stands there by its own capital.
        if (capitals_say_nothing_ || ++begin == end || !may_name(begin)) return;
        found = name(begin, end);
      }
    }
    if (found.folded.size() < 2) return;
    const bool there =
        std::any_of(names_.begin(), names_.end(), [&](const Name& other) { return other.folded == found.folded; });
    if (!there) names_.push_back(std::move(found));
  }

  std::string_view text_;
  const std::vector<Word>& words_;
  const KnownName& known_;
  bool capitals_say_nothing_ = false;
  std::vector<Name> names_;
};

/// Digits alone, up to 9999.
std::optional<int> small_number(std::string_view word) {
  int number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc{} || end != word.data() + word.size() || word.size() > 4) return std::nullopt;
  return number;
}

class DateCounter {
 public:
  explicit DateCounter(const std::vector<Word>& words) : words_(words) {}

  int count() {
    int dates = 0;
    for (std::size_t i = 0; i < words_.size();) {
      const std::size_t length = date_at(i);
      dates += length > 0 ? 1 : 0;
      i += std::max<std::size_t>(length, 1);
    }
    return dates;
  }

 private:
  std::string_view at(std::size_t i) const { return i < words_.size() ? std::string_view(words_[i].folded) : ""; }

  bool is_month(std::size_t i) const {
    if (i >= words_.size()) return false;
    if (has(internal::kShortMonths, at(i))) return words_[i].capital && !words_[i].opens;
    if (!internal::is_month(at(i))) return false;
    // "May" and "March" are also verbs.
    if (at(i) != "may" && at(i) != "march") return true;
    return words_[i].capital && (!words_[i].opens || small_number(at(i + 1)) || is_ordinal(at(i + 1)));
  }
  bool is_day(std::size_t i) const {
    if (internal::is_day(at(i))) return true;
    return has(internal::kShortDays, at(i)) && words_[i].capital && !words_[i].opens;
  }
  static bool is_ordinal(std::string_view word) {
    if (word.size() < 3 || word.size() > 4 || !internal::is_digit(word[0])) return false;
    const auto ending = word.substr(word.size() - 2);
    return ending == "st" || ending == "nd" || ending == "rd" || ending == "th";
  }
  bool is_day_of_month(std::size_t i) const {
    const auto number = small_number(at(i));
    return (number && *number >= 1 && *number <= 31) || is_ordinal(at(i));
  }
  bool is_year(std::size_t i) const {
    const auto number = small_number(at(i));
    return number && *number >= 1900 && *number < 2100 && at(i).size() == 4;
  }
  bool is_amount(std::size_t i) const { return small_number(at(i)) || has(internal::kAmounts, at(i)); }
  /// "7:30", "2023-05-08", "8/5/2023", "5pm".
  static bool is_clock_or_date(std::string_view word) {
    if (word.empty() || !internal::is_digit(word[0])) return false;
    if (word.size() <= 4 && (word.ends_with("am") || word.ends_with("pm"))) return true;
    const auto marks = std::count_if(word.begin(), word.end(), [](char c) { return c == '-' || c == '/' || c == '.'; });
    return marks == 2 || word.find(':') != std::string_view::npos;
  }

  /// How many words the date at word `i` has; 0 when there is none.
  std::size_t date_at(std::size_t i) const {
    const std::string_view word = at(i);
    if (is_day_of_month(i)) {
      const std::size_t month = at(i + 1) == "of" ? i + 2 : i + 1;
      if (is_month(month)) return month + (is_year(month + 1) ? 2 : 1) - i;
    }
    if (is_month(i)) {
      std::size_t end = i + 1;
      if (is_day_of_month(end)) ++end;
      return (is_year(end) ? end + 1 : end) - i;
    }
    if (is_day(i) || has(internal::kNearDays, word) || is_clock_or_date(word) || is_year(i)) return 1;
    if (is_ordinal(word)) return 1;
    if (has(internal::kWhich, word) && (internal::is_time(at(i + 1)) || is_month(i + 1) || is_day(i + 1))) return 2;
    if (is_amount(i)) {
      const std::size_t unit = at(i + 1) == "of" || at(i + 1) == "more" ? i + 2 : i + 1;
      if (internal::is_unit(at(unit))) return unit + (at(unit + 1) == "ago" ? 2 : 1) - i;
      if (at(i + 1) == "am" || at(i + 1) == "pm" || at(i + 1) == "o'clock") return 2;
    }
    return internal::is_unit(word) && at(i + 1) == "ago" ? 2 : 0;
  }

  const std::vector<Word>& words_;
};

}  // namespace

std::vector<Name> find_names(std::string_view text, const std::vector<Word>& words, const KnownName& known) {
  return NameFinder(text, words, known).find();
}

int count_dates(const std::vector<Word>& words) { return DateCounter(words).count(); }

}  // namespace reef::text
