#include "reef/memory/statement.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "reef/io/checksum.h"
#include "reef/text/fold.h"
#include "reef/text/words.h"

namespace reef::memory {
namespace {

using Words = std::vector<std::string_view>;
using Set = std::unordered_set<std::string_view>;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

const std::unordered_map<std::string_view, std::string_view>& number_words() {
  static const std::unordered_map<std::string_view, std::string_view> kWords{
      {"zero", "0"},     {"two", "2"},        {"three", "3"},     {"four", "4"},        {"five", "5"},
      {"six", "6"},      {"seven", "7"},      {"eight", "8"},     {"nine", "9"},        {"ten", "10"},
      {"eleven", "11"},  {"twelve", "12"},    {"thirteen", "13"}, {"fourteen", "14"},   {"fifteen", "15"},
      {"sixteen", "16"}, {"seventeen", "17"}, {"eighteen", "18"}, {"nineteen", "19"},   {"twenty", "20"},
      {"thirty", "30"},  {"forty", "40"},     {"fifty", "50"},    {"sixty", "60"},      {"seventy", "70"},
      {"eighty", "80"},  {"ninety", "90"},    {"hundred", "100"}, {"thousand", "1000"}, {"million", "1000000"},
      {"twice", "2"},    {"first", "1st"},    {"second", "2nd"},  {"third", "3rd"},     {"fourth", "4th"},
      {"fifth", "5th"}};
  return kWords;
}

/// Days and months: a text that names another one says something else, and vectors hardly tell. "May" and "march" are
/// words of other meanings, and left out.
const Set& days_and_months() {
  static const Set kWords{"monday",  "tuesday",  "wednesday", "thursday", "friday",   "saturday",  "sunday",
                          "january", "february", "april",     "june",     "july",     "august",    "september",
                          "october", "november", "december",  "today",    "tomorrow", "yesterday", "tonight"};
  return kWords;
}

bool is_negation(std::string_view word) {
  static const Set kWords{"not",     "no",   "never",   "none",   "nobody", "nothing", "nowhere",
                          "neither", "nor",  "without", "cannot", "hardly", "dont",    "doesnt",
                          "didnt",   "cant", "wont",    "isnt",   "wasnt",  "stopped", "quit"};
  return kWords.contains(word) || word.ends_with("n't");
}

bool is_personal(std::string_view word) {
  static const Set kWords{"i",  "me",  "my",   "mine",  "myself", "i'm", "i've", "i'll",  "i'd",    "we",
                          "us", "our", "ours", "we're", "we've",  "you", "your", "yours", "you're", "you've"};
  return kWords.contains(word);
}

/// "1,000" and "1000" are one number, "3.50" and "3.5" are not worth it.
std::string figure(std::string_view word) {
  std::string result(word);
  result.erase(std::remove(result.begin(), result.end(), ','), result.end());
  return result;
}

/// FNV-1a over words, 0 kept for "nothing".
std::int64_t hash_words(std::string_view speaker, std::span<const std::string_view> words) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto take = [&](std::string_view bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    hash = (hash ^ 0xff) * 0x100000001b3u;
  };
  take(speaker);
  for (const auto word : words) take(word);
  return static_cast<std::int64_t>(hash);
}

/// Words that change nothing about which attribute is meant, or what its value is.
bool is_filler(std::string_view word) {
  static const Set kWords{"new", "current", "now", "actually", "own", "the", "a", "an", "currently", "really"};
  return kWords.contains(word);
}

std::string_view spelling(std::string_view word) {
  if (word == "favourite") return "favorite";
  if (word == "colour") return "color";
  return word;
}

/// Nouns of opinions: "my guess is that …" says nothing that a later guess would replace.
bool is_opinion(std::string_view word) {
  static const Set kWords{"point",   "guess", "question", "problem", "opinion", "thought", "thoughts", "idea",
                          "concern", "view",  "answer",   "issue",   "advice",  "fear",    "hope",     "theory",
                          "day",     "sense", "bad",      "god",     "heart",   "mind",    "turn",     "understanding"};
  return kWords.contains(word);
}

/// Of people and animals one says many things: only their name takes the place of another.
bool is_person(std::string_view word) {
  static const Set kWords{
      "mother",   "father",      "mom",       "mum",      "dad",         "parent",   "brother",       "sister",
      "sibling",  "son",         "daughter",  "twin",     "baby",        "kid",      "child",         "children",
      "friend",   "girlfriend",  "boyfriend", "fiancé",   "fiancée",     "fiance",   "fiancee",       "partner",
      "wife",     "husband",     "spouse",    "cousin",   "aunt",        "uncle",    "niece",         "nephew",
      "family",   "grandmother", "grandma",   "grandpa",  "grandfather", "grandson", "granddaughter", "colleague",
      "coworker", "boss",        "manager",   "neighbor", "neighbour",   "roommate", "flatmate",      "doctor",
      "dentist",  "therapist",   "teacher",   "student",  "lawyer",      "landlord", "coach",         "pet",
      "dog",      "puppy",       "cat",       "kitten",   "horse",       "pony",     "bird",          "parrot",
      "fish",     "hamster",     "rabbit",    "bunny",    "turtle",      "tortoise", "snake"};
  return kWords.contains(word) || (word.ends_with('s') && kWords.contains(word.substr(0, word.size() - 1)));
}

/// What has a capital and says what somebody is, not their name.
bool is_origin_or_faith(std::string_view word) {
  static const Set kWords{"african",  "american",   "asian",     "australian", "austrian", "belgian",   "brazilian",
                          "british",  "canadian",   "chinese",   "czech",      "danish",   "dutch",     "english",
                          "european", "finnish",    "french",    "german",     "greek",    "hungarian", "indian",
                          "irish",    "israeli",    "italian",   "japanese",   "korean",   "mexican",   "norwegian",
                          "polish",   "portuguese", "romanian",  "russian",    "scottish", "spanish",   "swedish",
                          "swiss",    "turkish",    "ukrainian", "vietnamese", "welsh",    "buddhist",  "catholic",
                          "hindu",    "jewish",     "muslim",    "protestant"};
  return kWords.contains(word);
}

bool has_figure(std::string_view word) {
  return std::any_of(word.begin(), word.end(), is_digit) || number_words().contains(word);
}

/// Words that the text writes with a capital, folded; none where it is written in capitals throughout.
std::unordered_set<std::string> capitalised(std::string_view text) {
  std::unordered_set<std::string> found;
  const auto words = text::words(text);
  const bool shouted = std::none_of(words.begin(), words.end(), [](const text::Word& word) { return !word.capital; });
  for (const text::Word& word : words)
    if (word.capital && !(shouted && words.size() > 1))
      found.insert(text::folded(text.substr(word.start, word.end - word.start)));
  return found;
}

bool starts_value(std::string_view word) {
  static const Set kWords{"so",    "very", "too",   "not",     "always", "never", "still", "also", "just", "here",
                          "there", "that", "to",    "because", "about",  "what",  "how",   "why",  "when", "where",
                          "who",   "if",   "being", "going",   "gone",   "all",   "like",  "one"};
  return !kWords.contains(word) && !(word.size() > 5 && word.ends_with("ing"));
}

struct Match {
  Words attribute;
  Words value;
};

/// A text's words, where its clauses end, and which of them are names or figures.
struct Reading {
  const Words& words;
  std::vector<bool> ends;
  std::unordered_set<std::string> capitals;

  bool has_capital(std::string_view word) const { return !is_personal(word) && capitals.contains(std::string(word)); }
  /// "Anna", "Tom and Eva", "called Rex".
  bool is_name(const Words& value) const {
    const auto named = [&](std::string_view word) {
      return has_capital(word) && !is_origin_or_faith(word) && !word.ends_with("'s");
    };
    return std::any_of(value.begin(), value.end(), named) &&
           std::all_of(value.begin(), value.end(), [&](std::string_view word) {
             return word == "and" || word == "called" || word == "named" || named(word);
           });
  }
  bool names_something(const Words& value) const {
    return std::any_of(value.begin(), value.end(),
                       [&](std::string_view word) { return has_capital(word) || has_figure(word); });
  }
};

/// The words of a value: all up to the end of its clause, fillers aside; none when that is no value.
Words value_at(const Reading& text, std::size_t at) {
  const auto& [words, ends, capitals] = text;
  constexpr std::size_t kLongest = 8;
  Words value;
  for (; at < words.size(); ++at) {
    if (!is_filler(words[at])) value.push_back(words[at]);
    if (value.size() > kLongest) return {};
    if (ends[at]) break;
  }
  if (!value.empty() && !starts_value(value.front())) value.clear();
  return value;
}

/// How many words say "is" there.
std::size_t copula_at(const Words& words, std::size_t at) {
  if (words[at] == "is" || words[at] == "are") return 1;
  const auto changed = [&](std::size_t i) {
    return i + 1 < words.size() && words[i] == "changed" && words[i + 1] == "to";
  };
  if (changed(at)) return 2;
  return words[at] == "has" && changed(at + 1) ? 3 : 0;
}

/// "my X is Y" at `at`, the word behind "my".
std::optional<Match> possession_at(const Reading& text, std::size_t at) {
  const auto& [words, ends, capitals] = text;
  constexpr std::size_t kLongest = 5;
  Match match;
  for (std::size_t i = at; i < words.size() && i < at + kLongest + 1; ++i) {
    if (const std::size_t verb = copula_at(words, i); verb > 0) {
      i += verb;
      if (match.attribute.empty() || is_opinion(match.attribute.back()) || i >= words.size()) return std::nullopt;
      match.value = value_at(text, i);
      if (match.value.empty()) return std::nullopt;
      const std::string_view what = match.attribute.back();
      const bool article = words[i] == "a" || words[i] == "an";
      if (is_person(what)) {
        if (article || !text.is_name(match.value)) return std::nullopt;
        std::erase_if(match.value, [](std::string_view word) { return word == "called" || word == "named"; });
      }
      // "My sister Anna is …", and "my PIN is 1234".
      if (text.has_capital(what) && !text.names_something(match.value)) return std::nullopt;
      return match;
    }
    if (ends[i]) return std::nullopt;
    if (!is_filler(words[i])) match.attribute.push_back(spelling(words[i]));
  }
  return std::nullopt;
}

/// "I live in Y", "I work at Y" and the like: first words, then the name of the attribute, and whether Y must name
/// something: one lives in hope, moves to the next question, and works for free.
std::optional<Match> habit_at(const Reading& text, std::size_t at) {
  struct Phrase {
    std::array<std::string_view, 3> words;
    std::string_view attribute;
    bool named = true;
  };
  static constexpr std::array<Phrase, 10> kPhrases{{{{"live", "in", ""}, "home"},
                                                    {{"moved", "to", ""}, "home"},
                                                    {{"have", "moved", "to"}, "home"},
                                                    {{"live", "at", ""}, "address"},
                                                    {{"work", "at", ""}, "employer"},
                                                    {{"work", "for", ""}, "employer"},
                                                    {{"work", "as", ""}, "job", false},
                                                    {{"drive", "a", ""}, "car", false},
                                                    {{"weigh", "", ""}, "weight"},
                                                    {{"am", "called", ""}, "name"}}};
  const auto& [words, ends, capitals] = text;
  while (at < words.size() && is_filler(words[at]) && !ends[at]) ++at;
  for (const Phrase& phrase : kPhrases) {
    std::size_t i = at, matched = 0;
    for (; matched < phrase.words.size() && !phrase.words[matched].empty(); ++matched, ++i)
      if (i >= words.size() || words[i] != phrase.words[matched] || ends[i]) break;
    if (matched < phrase.words.size() && !phrase.words[matched].empty()) continue;
    Match match{{phrase.attribute}, value_at(text, i)};
    if (match.value.empty() || (phrase.named && !text.names_something(match.value))) continue;
    return match;
  }
  return std::nullopt;
}

/// One attribute in a short text that asks nothing: of a text that says more, the rest would be superseded with it.
std::optional<Attribute> read_attribute(std::string_view text, const std::string& folded, const Words& words,
                                        std::string_view speaker) {
  constexpr std::size_t kLongest = 40;
  if (words.size() > kLongest || folded.find('?') != std::string::npos) return std::nullopt;
  std::vector<bool> ends(words.size());  // a clause ends behind this word
  for (std::size_t i = 0; i < words.size(); ++i) {
    const char* const begin = words[i].data() + words[i].size();
    const char* const end = i + 1 < words.size() ? words[i + 1].data() : folded.data() + folded.size();
    const std::string_view between(begin, static_cast<std::size_t>(end - begin));
    ends[i] =
        between.find_first_of(".,;:!()\"") != std::string_view::npos || between.find(" - ") != std::string_view::npos;
    const bool joins = i + 2 < words.size() && (words[i + 1] == "and" || words[i + 1] == "but");
    ends[i] = ends[i] || (joins && (is_personal(words[i + 2]) || words[i + 2] == "the"));
  }
  if (!ends.empty()) ends.back() = true;
  const bool speaks = std::any_of(words.begin(), words.end(), [](auto word) { return word == "my" || word == "i"; });
  if (!speaks) return std::nullopt;
  const Reading reading{words, std::move(ends), capitalised(text)};
  std::optional<Match> found;
  for (std::size_t i = 0; i + 2 < words.size(); ++i) {
    auto match = words[i] == "my"  ? possession_at(reading, i + 1)
                 : words[i] == "i" ? habit_at(reading, i + 1)
                                   : std::nullopt;
    if (!match) continue;
    if (found) return std::nullopt;
    found = std::move(match);
  }
  if (!found) return std::nullopt;
  return Attribute{hash_words(speaker, found->attribute), hash_words("", found->value)};
}

}  // namespace

std::string content_hash(std::string_view text) { return io::to_hex(io::sha256(text::folded(text))); }

Statement read_statement(std::string_view text, std::string_view speaker) {
  const std::string folded = text::folded(text);
  const Words words = text::words_of(folded);
  Statement statement;
  for (const auto word : words) {
    if (std::any_of(word.begin(), word.end(), is_digit))
      statement.figures.push_back(figure(word));
    else if (const auto number = number_words().find(word); number != number_words().end())
      statement.figures.emplace_back(number->second);
    else if (days_and_months().contains(word))
      statement.figures.emplace_back(word);
    if (is_negation(word)) ++statement.negations;
    if (is_personal(word)) statement.personal = true;
  }
  std::sort(statement.figures.begin(), statement.figures.end());
  statement.attribute = read_attribute(text, folded, words, speaker);
  return statement;
}

bool agree(const Statement& a, const Statement& b) { return a.figures == b.figures && a.negations == b.negations; }

}  // namespace reef::memory
