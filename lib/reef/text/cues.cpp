#include <algorithm>
#include <array>

#include "reef/text/entities.h"
#include "reef/text/internal/strings.h"
#include "reef/text/internal/word_tables.h"

namespace reef::text {
namespace {

using internal::has;

constexpr auto kFirstPerson = std::to_array<std::string_view>(
    {"i",      "i'd", "i'll", "i'm",       "i've", "id", "im",   "ive",   "me",    "mine", "my",
     "myself", "our", "ours", "ourselves", "us",   "we", "we'd", "we'll", "we're", "we've"});

/// Phrases; the sorted order finds those that begin with a word.
constexpr auto kPast = std::to_array<std::string_view>(
    {"ago",           "as i mentioned", "as i said", "as you know",  "as you said",  "back in",   "back then",
     "back when",     "been a while",   "earlier",   "formerly",     "i said",       "i told",    "in the past",
     "last month",    "last night",     "last time", "last week",    "last weekend", "last year", "like i said",
     "like you said", "mentioned",      "previous",  "previously",   "recall",       "recalled",  "remember",
     "remembered",    "remembering",    "remind",    "reminded",     "reminder",     "reminds",   "since then",
     "that time",     "the other day",  "used to",   "we discussed", "we spoke",     "we talked", "when i was",
     "when we",       "yesterday",      "you said",  "you told"});

constexpr auto kGreetings = std::to_array<std::string_view>({"absolutely",
                                                             "agreed",
                                                             "ah",
                                                             "alright",
                                                             "aw",
                                                             "awesome",
                                                             "aww",
                                                             "bye",
                                                             "cheers",
                                                             "congrats",
                                                             "congratulations",
                                                             "cool",
                                                             "definitely",
                                                             "exactly",
                                                             "fantastic",
                                                             "glad",
                                                             "good afternoon",
                                                             "good evening",
                                                             "good idea",
                                                             "good job",
                                                             "good luck",
                                                             "good morning",
                                                             "good night",
                                                             "good one",
                                                             "good point",
                                                             "good to",
                                                             "goodbye",
                                                             "got it",
                                                             "great",
                                                             "ha",
                                                             "haha",
                                                             "hello",
                                                             "hey",
                                                             "hi",
                                                             "hiya",
                                                             "i agree",
                                                             "i know",
                                                             "i see",
                                                             "indeed",
                                                             "k",
                                                             "lol",
                                                             "lovely",
                                                             "me too",
                                                             "my pleasure",
                                                             "nice",
                                                             "no problem",
                                                             "no way",
                                                             "no worries",
                                                             "of course",
                                                             "oh",
                                                             "ok",
                                                             "okay",
                                                             "ooh",
                                                             "perfect",
                                                             "right",
                                                             "same here",
                                                             "see you",
                                                             "sounds",
                                                             "sure",
                                                             "sweet",
                                                             "take care",
                                                             "thank",
                                                             "thanks",
                                                             "that's",
                                                             "totally",
                                                             "true",
                                                             "welcome",
                                                             "well done",
                                                             "whoa",
                                                             "wonderful",
                                                             "woo",
                                                             "wow",
                                                             "yay",
                                                             "yea",
                                                             "yeah",
                                                             "yep",
                                                             "yes",
                                                             "you too",
                                                             "you're right",
                                                             "you're welcome",
                                                             "yup"});

/// Behind "I", with adverbs between or not: what is so for long. Those of taste count only with an object of their own.
constexpr auto kStates = std::to_array<std::string_view>(
    {"adopted", "believe",   "bought",     "got engaged", "got married", "graduated", "grew up", "have a",
     "have an", "have been", "have two",   "joined",      "live",        "lived",     "moved",   "own",
     "owned",   "play",      "prefer",     "quit",        "speak",       "started",   "studied", "study",
     "teach",   "was born",  "was raised", "work",        "worked"});
constexpr auto kTastes =
    std::to_array<std::string_view>({"dislike", "enjoy", "hate", "hated", "like", "love", "loved"});
constexpr auto kAdverbs =
    std::to_array<std::string_view>({"actually", "also", "always", "currently", "finally", "just", "mostly", "never",
                                     "now", "often", "only", "really", "recently", "still", "usually"});
/// Behind a word of taste: what was just spoken of.
constexpr auto kNoObjects = std::to_array<std::string_view>(
    {"about", "her", "him", "how", "it", "that", "the", "them", "this", "to", "what", "you", "your"});
/// Behind "I am".
constexpr auto kBeing =
    std::to_array<std::string_view>({"a", "afraid", "allergic", "an", "divorced", "engaged", "from", "intolerant",
                                     "married", "pregnant", "retired", "single", "vegan", "vegetarian"});

/// Asks wherever it stands.
constexpr auto kAsked = std::to_array<std::string_view>(
    {"don't forget my",      "don't forget that", "don't forget this", "for the record",       "for your records",
     "keep in mind that",    "make a note",       "make note",         "memorize this",        "note to self",
     "please memorize",      "please remember",   "remember for me",   "take a note",          "take note",
     "want you to remember", "write this down",   "you remember to",   "you should know that", "you should remember"});
/// Asks where a sentence begins with it and does not end as a question.
constexpr auto kAskedFirst = std::to_array<std::string_view>({"remember my", "remember that", "remember this"});
/// Before it, within a sentence.
constexpr auto kBeforeRequests = std::to_array<std::string_view>({"also", "and", "just", "so"});
constexpr auto kWilling = std::to_array<std::string_view>({"can", "could", "will", "would"});
/// "Remember that time …": a story follows.
constexpr auto kStories = std::to_array<std::string_view>({"day", "night", "one", "summer", "time", "trip", "when"});

template <std::size_t N>
bool begins_here(const std::array<std::string_view, N>& phrases, const std::vector<Word>& words, std::size_t at) {
  const std::string_view first = words[at].folded;
  for (auto phrase = std::lower_bound(phrases.begin(), phrases.end(), first);
       phrase != phrases.end() && phrase->starts_with(first); ++phrase)
    if (stands_at(words, at, *phrase)) return true;
  return false;
}

template <std::size_t N>
bool anywhere(const std::array<std::string_view, N>& phrases, const std::vector<Word>& words) {
  for (std::size_t i = 0; i < words.size(); ++i)
    if (begins_here(phrases, words, i)) return true;
  return false;
}

class FactFinder {
 public:
  explicit FactFinder(const std::vector<Word>& words) : words_(words) {}

  bool find() const {
    for (std::size_t i = 0; i < words_.size(); ++i)
      if (possession(i) || self(i)) return true;
    return false;
  }

 private:
  std::string_view at(std::size_t i) const { return i < words_.size() ? std::string_view(words_[i].folded) : ""; }

  /// "my sister is", "my favourite book was", "my dog's name", "call me".
  bool possession(std::size_t i) const {
    if (at(i) == "call" && at(i + 1) == "me" && i + 2 < words_.size()) return words_[i + 2].capital;
    if (at(i) != "my" && at(i) != "our") return false;
    if (at(i + 1) == "name" || at(i + 2) == "name") return true;
    for (std::size_t verb = i + 2; verb <= i + 4 && verb < words_.size() && !words_[verb].opens; ++verb)
      if (const auto word = at(verb); word == "is" || word == "are" || word == "was" || word == "were") return true;
    return false;
  }

  bool self(std::size_t i) const {
    std::size_t next = i + 1;
    const bool be = at(i) == "i'm" || at(i) == "im" || (at(i) == "i" && (at(i + 1) == "am" || at(i + 1) == "was"));
    const bool have = at(i) == "i've" || (at(i) == "i" && at(i + 1) == "have");
    if (!be && !have && at(i) != "i") return false;
    if (at(i) == "i" && be) ++next;
    while (has(kAdverbs, at(next)) && next < i + 4) ++next;
    if (next >= words_.size()) return false;
    if (be && has(kBeing, at(next))) return true;
    if (has(kTastes, at(next)))
      return next + 1 < words_.size() && !words_[next + 1].opens && !has(kNoObjects, at(next + 1));
    return begins_here(kStates, words_, next) || begins_here(kStates, words_, i + 1) ||
           (have && at(i) == "i" && begins_here(kStates, words_, i + 2));
  }

  const std::vector<Word>& words_;
};

/// Whether somebody asks to remember, in a sentence that is no question.
class RequestFinder {
 public:
  RequestFinder(std::string_view text, const std::vector<Word>& words) : text_(text), words_(words) {}

  bool find() {
    for (std::size_t i = 0; i < words_.size(); ++i)
      if (formal(i) || (requests(i) && !in_question(i))) return true;
    return false;
  }

 private:
  std::string_view before(std::size_t i) const { return i > 0 ? std::string_view(words_[i - 1].folded) : ""; }

  /// "Can you remember that …?" asks by its form.
  bool formal(std::size_t i) const { return has(kWilling, before(i)) && stands_at(words_, i, "you remember that"); }

  bool requests(std::size_t i) const {
    if (begins_here(kAsked, words_, i)) return true;
    if (words_[i].folded == "remember" && text_.substr(words_[i].end).starts_with(':')) return true;
    if (!words_[i].opens && !has(kBeforeRequests, before(i))) return false;
    return begins_here(kAskedFirst, words_, i) && !(i + 2 < words_.size() && has(kStories, words_[i + 2].folded));
  }

  /// Called for words in their order: a sentence is read once.
  bool in_question(std::size_t i) {
    if (i < end_) return question_;
    end_ = i + 1;
    while (end_ < words_.size() && !words_[end_].opens) ++end_;
    const std::size_t last = words_[end_ - 1].end, next = end_ < words_.size() ? words_[end_].start : text_.size();
    question_ = text_.substr(last, next - last).find('?') != std::string_view::npos;
    return question_;
  }

  std::string_view text_;
  const std::vector<Word>& words_;
  std::size_t end_ = 0;  ///< of the sentence that question_ tells about
  bool question_ = false;
};

/// Ends with "?", quotes, brackets, exclamation marks and emoji aside.
bool ends_as_question(std::string_view text) {
  while (!text.empty()) {
    const char c = text.back();
    if (c == '?') return true;
    const bool aside = internal::is_space(c) || c == '!' || c == '"' || c == '\'' || c == ')' || c == ']' || c == '*' ||
                       static_cast<unsigned char>(c) >= 0x80;
    if (!aside) return false;
    text.remove_suffix(1);
  }
  return false;
}

}  // namespace

Cues find_cues(std::string_view text, const std::vector<Word>& words) {
  Cues cues;
  cues.question = ends_as_question(text);
  if (words.empty()) return cues;
  cues.first_person =
      std::any_of(words.begin(), words.end(), [](const Word& word) { return has(kFirstPerson, word.folded); });
  cues.past = anywhere(kPast, words);
  cues.greeting = begins_here(kGreetings, words, 0);
  cues.personal = FactFinder(words).find();
  cues.asked = RequestFinder(text, words).find();
  return cues;
}

}  // namespace reef::text
