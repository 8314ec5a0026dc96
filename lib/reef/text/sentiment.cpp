#include "reef/text/sentiment.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reef/core/text.h"
#include "reef/text/internal/strings.h"
#include "reef/text/internal/vader_data.h"

namespace reef::text {
namespace {

constexpr double kBooster = .293;
constexpr double kCapitals = .733;
constexpr double kNegation = -.74;

/// Words that weaken or strengthen the next rated one; sorted.
constexpr auto kStronger = std::to_array<std::string_view>(
    {"absolutely",    "amazingly",  "awfully",   "completely", "considerable", "considerably", "decidedly",
     "deeply",        "effing",     "enormous",  "enormously", "entirely",     "especially",   "exceptional",
     "exceptionally", "extreme",    "extremely", "fabulously", "flippin",      "flipping",     "frackin",
     "fracking",      "frickin",    "fricking",  "friggin",    "frigging",     "fuckin",       "fucking",
     "fuggin",        "fugging",    "fully",     "greatly",    "hella",        "highly",       "hugely",
     "incredible",    "incredibly", "intensely", "major",      "majorly",      "more",         "most",
     "particularly",  "purely",     "quite",     "really",     "remarkably",   "so",           "substantially",
     "thoroughly",    "total",      "totally",   "tremendous", "tremendously", "uber",         "unbelievably",
     "unusually",     "utter",      "utterly",   "very"});
constexpr auto kWeaker = std::to_array<std::string_view>(
    {"almost",   "barely",   "hardly",     "kind-of",    "kinda",        "kindof", "less",
     "little",   "marginal", "marginally", "occasional", "occasionally", "partly", "scarce",
     "scarcely", "slight",   "slightly",   "somewhat",   "sort-of",      "sorta",  "sortof"});
/// Pairs of words do the same, from one or two words farther away.
constexpr auto kWeakerPairs = std::to_array<std::string_view>({"just enough", "kind of", "sort of"});
constexpr auto kNegations = std::to_array<std::string_view>(
    {"ain't",    "aint",    "aren't",  "arent",  "can't",   "cannot", "cant",      "couldn't", "couldnt", "daren't",
     "darent",   "despite", "didn't",  "didnt",  "doesn't", "doesnt", "don't",     "dont",     "hadn't",  "hadnt",
     "hasn't",   "hasnt",   "haven't", "havent", "isn't",   "isnt",   "mightn't",  "mightnt",  "mustn't", "mustnt",
     "needn't",  "neednt",  "neither", "never",  "none",    "nope",   "nor",       "not",      "nothing", "nowhere",
     "oughtn't", "oughtnt", "rarely",  "seldom", "shan't",  "shant",  "shouldn't", "shouldnt", "uh-uh",   "uhuh",
     "wasn't",   "wasnt",   "weren't", "werent", "without", "won't",  "wont",      "wouldn't", "wouldnt"});
struct Idiom {
  std::string_view words;
  double rating;
};
constexpr std::array<Idiom, 9> kIdioms{{{"the shit", 3},
                                        {"the bomb", 3},
                                        {"bad ass", 1.5},
                                        {"badass", 1.5},
                                        {"bus stop", 0},
                                        {"yeah right", -2},
                                        {"kiss of death", -1.5},
                                        {"to die for", 3},
                                        {"beating heart", 3.5}}};

static_assert(std::is_sorted(kStronger.begin(), kStronger.end()) && std::is_sorted(kWeaker.begin(), kWeaker.end()) &&
              std::is_sorted(kNegations.begin(), kNegations.end()));

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& sorted, std::string_view word) {
  return std::binary_search(sorted.begin(), sorted.end(), word);
}

struct Token {
  std::string lower;
  bool capitals = false;  ///< cased letters, all of them capital
  std::optional<double> rating;
  double boost = 0;

  bool is(std::string_view word) const { return lower == word; }
  bool is_so() const { return is("so") || is("this"); }
  bool negates() const { return contains(kNegations, lower) || lower.find("n't") != std::string::npos; }
};

bool is_punctuation(char c) { return c > ' ' && c < 0x7F && !internal::is_alpha(c) && !internal::is_digit(c); }

/// One step through valid UTF-8.
utf8proc_int32_t character(std::string_view text, std::size_t& length) {
  utf8proc_int32_t code = 0;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto step = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size()), &code);
  length = step > 0 ? static_cast<std::size_t>(step) : 1;
  return code;
}

/// White space as Python's str.split() has it.
bool is_white(utf8proc_int32_t code) {
  if (code < 0x80) return internal::is_space(static_cast<char>(code)) || (code >= 0x1C && code <= 0x1F);
  const auto category = utf8proc_category(code);
  return code == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

std::size_t length_in_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Punctuation around words goes; what is left of emoticons would be too short, and they stay.
std::string_view without_punctuation(std::string_view token) {
  std::string_view word = token;
  while (!word.empty() && is_punctuation(word.front())) word.remove_prefix(1);
  while (!word.empty() && is_punctuation(word.back())) word.remove_suffix(1);
  return length_in_characters(word) <= 2 ? token : word;
}

Token make_token(std::string_view word) {
  Token token;
  bool upper = false, lower = false;
  for (std::size_t length = 0; !word.empty(); word.remove_prefix(length)) {
    const auto code = character(word, length);
    const auto category = utf8proc_category(code);
    upper = upper || category == UTF8PROC_CATEGORY_LU;
    lower = lower || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
    if (code < 0x80)
      token.lower += internal::to_lower(static_cast<char>(code));
    else
      internal::append_utf8(token.lower, static_cast<char32_t>(utf8proc_tolower(code)));
  }
  token.capitals = upper && !lower;
  token.rating = internal::vader_rating(token.lower);
  if (contains(kStronger, token.lower)) token.boost = kBooster;
  if (contains(kWeaker, token.lower)) token.boost = -kBooster;
  return token;
}

std::string emoji_in_words(std::string_view text) {
  std::string words;
  bool after_space = true;
  for (std::size_t length = 0; !text.empty(); text.remove_prefix(length)) {
    const auto code = character(text, length);
    const std::string_view one = text.substr(0, length);
    const std::string_view shown = code < 0x80 ? std::string_view{} : internal::emoji_description(one);
    if (!shown.empty() && !after_space) words += ' ';
    words += shown.empty() ? one : shown;
    after_space = shown.empty() && code == ' ';
  }
  return words;
}

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  std::size_t start = 0;
  const auto end_token = [&](std::size_t end) {
    if (end > start) tokens.push_back(make_token(without_punctuation(text.substr(start, end - start))));
  };
  for (std::size_t at = 0, length = 0; at < text.size(); at += length)
    if (is_white(character(text.substr(at), length))) {
      end_token(at);
      start = at + length;
    }
  end_token(text.size());
  return tokens;
}

class Sentence {
 public:
  explicit Sentence(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
    const auto capitals = std::count_if(tokens_.begin(), tokens_.end(), [](const Token& t) { return t.capitals; });
    some_capitals_ = capitals > 0 && static_cast<std::size_t>(capitals) < tokens_.size();
  }

  double sum() const {
    std::vector<double> ratings;
    for (std::size_t i = 0; i < tokens_.size(); ++i) ratings.push_back(rating(i));
    weigh_but(ratings);
    double sum = 0;
    for (const double rating : ratings) sum += rating;
    return sum;
  }

 private:
  const Token& before(std::size_t i, std::size_t distance) const { return tokens_[i - distance]; }

  double rating(std::size_t i) const {
    const Token& token = tokens_[i];
    if (token.boost != 0 || !token.rating) return 0;
    const auto next = [&](std::string_view word) { return i + 1 < tokens_.size() && tokens_[i + 1].is(word); };
    if (token.is("kind") && next("of")) return 0;
    double valence = *token.rating;
    if (token.is("no") && i + 1 < tokens_.size() && tokens_[i + 1].rating) valence = 0;
    if ((i > 0 && before(i, 1).is("no")) || (i > 1 && before(i, 2).is("no")) ||
        (i > 2 && before(i, 3).is("no") && (before(i, 1).is("or") || before(i, 1).is("nor"))))
      valence = *token.rating * kNegation;
    if (token.capitals && some_capitals_) valence += valence > 0 ? kCapitals : -kCapitals;
    constexpr std::array<double, 4> kNearness{0, 1, .95, .9};
    for (std::size_t distance = 1; distance <= 3 && distance <= i; ++distance) {
      if (before(i, distance).rating) continue;
      valence += boost(before(i, distance), valence) * kNearness[distance];
      valence = negated(valence, i, distance);
      if (distance == 3) valence = idioms(valence, i);
    }
    return least(valence, i);
  }

  double boost(const Token& token, double valence) const {
    if (token.boost == 0) return 0;
    double boost = valence < 0 ? -token.boost : token.boost;
    if (token.capitals && some_capitals_) boost += valence > 0 ? kCapitals : -kCapitals;
    return boost;
  }

  double negated(double valence, std::size_t i, std::size_t distance) const {
    const Token& word = before(i, distance);
    if (distance == 2) {
      if (word.is("never") && before(i, 1).is_so()) return valence * 1.25;
      if (word.is("without") && before(i, 1).is("doubt")) return valence;
    }
    if (distance == 3) {
      // "so" or "this" right before counts without "never", as in the original.
      if ((word.is("never") && before(i, 2).is_so()) || before(i, 1).is_so()) return valence * 1.25;
      if (word.is("without") && (before(i, 2).is("doubt") || before(i, 1).is("doubt"))) return valence;
    }
    return word.negates() ? valence * kNegation : valence;
  }

  std::string words(std::size_t first, std::size_t count) const {
    std::string joined;
    if (first + count > tokens_.size()) return joined;
    for (std::size_t i = first; i < first + count; ++i) joined += (i == first ? "" : " ") + tokens_[i].lower;
    return joined;
  }

  double idioms(double valence, std::size_t i) const {
    const auto find = [](const std::string& phrase) {
      return std::find_if(kIdioms.begin(), kIdioms.end(), [&](const Idiom& idiom) { return idiom.words == phrase; });
    };
    const std::array<std::string, 3> farther{words(i - 3, 3), words(i - 3, 2), words(i - 2, 2)};
    for (const std::string& phrase : {words(i - 1, 2), words(i - 2, 3), farther[2], farther[0], farther[1]})
      if (const auto idiom = find(phrase); idiom != kIdioms.end()) {
        valence = idiom->rating;
        break;
      }
    for (const std::size_t count : {2U, 3U})
      if (const auto idiom = find(words(i, count)); idiom != kIdioms.end()) valence = idiom->rating;
    for (const std::string& phrase : farther)
      if (contains(kWeakerPairs, phrase)) valence -= kBooster;
    return valence;
  }

  double least(double valence, std::size_t i) const {
    if (i == 0 || !before(i, 1).is("least")) return valence;
    if (i > 1 && (before(i, 2).is("at") || before(i, 2).is("very"))) return valence;
    return valence * kNegation;
  }

  /// What stands before "but" counts half, what follows half as much again. The original looks each rating up by its
  /// value, so that of equal ones the first is changed, more than once.
  void weigh_but(std::vector<double>& ratings) const {
    const auto but = std::find_if(tokens_.begin(), tokens_.end(), [](const Token& t) { return t.is("but"); });
    if (but == tokens_.end()) return;
    const auto place = static_cast<std::size_t>(but - tokens_.begin());
    std::map<double, std::set<std::size_t>> places;
    for (std::size_t i = 0; i < ratings.size(); ++i) places[ratings[i]].insert(i);
    for (std::size_t i = 0; i < ratings.size(); ++i) {
      auto& equal = places.at(ratings[i]);
      const std::size_t first = *equal.begin();
      if (first == place || ratings[first] == 0) continue;
      equal.erase(equal.begin());
      ratings[first] *= first < place ? .5 : 1.5;
      places[ratings[first]].insert(first);
    }
  }

  std::vector<Token> tokens_;
  bool some_capitals_ = false;
};

double emphasis(std::string_view text) {
  const auto exclamations = std::count(text.begin(), text.end(), '!');
  const auto questions = std::count(text.begin(), text.end(), '?');
  const double asked = questions <= 1 ? 0 : questions <= 3 ? static_cast<double>(questions) * .18 : .96;
  return static_cast<double>(std::min<std::ptrdiff_t>(exclamations, 4)) * .292 + asked;
}

}  // namespace

double sentiment(std::string_view text) {
  const std::string words = emoji_in_words(is_valid_utf8(text) ? text : std::string_view(to_valid_utf8(text)));
  double sum = Sentence(tokens_of(words)).sum();
  if (sum > 0) sum += emphasis(words);
  if (sum < 0) sum -= emphasis(words);
  return sum / std::sqrt(sum * sum + 15);
}

}  // namespace reef::text
