#pragma once

#include <algorithm>
#include <array>
#include <string_view>

/// Small tables of English that entities.h looks words up in, folded and sorted.
namespace reef::text::internal {

template <std::size_t N>
constexpr bool has(const std::array<std::string_view, N>& sorted, std::string_view word) {
  return std::binary_search(sorted.begin(), sorted.end(), word);
}

/// No names, though chats write them with a capital where no sentence seems to begin.
inline constexpr auto kNoNames = std::to_array<std::string_view>(
    {"ah",    "aw",    "bet",   "bless", "btw",    "bye",  "come",  "congrats", "congratulations",
     "cool",  "even",  "fyi",   "get",   "go",     "god",  "good",  "goodbye",  "got",
     "great", "ha",    "had",   "haha",  "hang",   "have", "hello", "hey",      "hi",
     "hmm",   "hope",  "idk",   "imo",   "is",     "just", "keep",  "let",      "like",
     "lol",   "look",  "looks", "love",  "make",   "man",  "maybe", "need",     "never",
     "nice",  "no",    "nope",  "oh",    "ok",     "okay", "omg",   "one",      "please",
     "see",   "sir",   "so",    "sorry", "sounds", "sure", "take",  "thank",    "thanks",
     "that",  "there", "well",  "what",  "wow",    "yay",  "yeah",  "yep",      "yes",
     "yo"});

/// Between the words of one name, with "the" behind them or not.
inline constexpr auto kInNames =
    std::to_array<std::string_view>({"da", "de", "del", "der", "di", "du", "la", "le", "of", "van", "von"});

inline constexpr auto kDays =
    std::to_array<std::string_view>({"friday", "monday", "saturday", "sunday", "thursday", "tuesday", "wednesday"});
inline constexpr auto kMonths =
    std::to_array<std::string_view>({"april", "august", "december", "february", "january", "july", "june", "march",
                                     "may", "november", "october", "september"});
/// Short forms, which count with a capital only.
inline constexpr auto kShortDays =
    std::to_array<std::string_view>({"fri", "mon", "sat", "sun", "thu", "thur", "thurs", "tue", "tues", "wed"});
inline constexpr auto kShortMonths = std::to_array<std::string_view>(
    {"apr", "aug", "dec", "feb", "jan", "jul", "jun", "mar", "nov", "oct", "sep", "sept"});
/// Days that have a name.
inline constexpr auto kNearDays = std::to_array<std::string_view>(
    {"christmas", "easter", "halloween", "midnight", "thanksgiving", "today", "tomorrow", "tonight", "yesterday"});
inline constexpr auto kUnits = std::to_array<std::string_view>(
    {"century", "day", "decade", "fortnight", "hour", "minute", "month", "night", "week", "weekend", "year"});
inline constexpr auto kParts = std::to_array<std::string_view>(
    {"afternoon", "autumn", "evening", "fall", "morning", "spring", "summer", "time", "winter"});
/// Before a unit or part they make a date of it: "next week".
inline constexpr auto kWhich = std::to_array<std::string_view>(
    {"coming", "each", "every", "following", "last", "next", "past", "previous", "this"});
inline constexpr auto kAmounts =
    std::to_array<std::string_view>({"couple", "eight", "eleven", "few", "five", "four", "many", "nine", "one", "seven",
                                     "several", "six", "ten", "three", "twelve", "two"});

constexpr std::string_view singular(std::string_view word) {
  return word.ends_with('s') ? word.substr(0, word.size() - 1) : word;
}
constexpr bool is_day(std::string_view word) { return has(kDays, word) || has(kDays, singular(word)); }
constexpr bool is_month(std::string_view word) { return has(kMonths, word); }
constexpr bool is_unit(std::string_view word) {
  return has(kUnits, word) || has(kUnits, singular(word)) || word == "centuries";
}
constexpr bool is_time(std::string_view word) { return is_unit(word) || has(kParts, word); }

}  // namespace reef::text::internal
