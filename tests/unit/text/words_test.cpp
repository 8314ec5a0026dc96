#include "reef/text/words.h"

#include <doctest/doctest.h>

using namespace reef;

namespace {

std::vector<std::string> folded(std::string_view text) {
  std::vector<std::string> found;
  for (const text::Word& word : text::words(text)) found.push_back(word.folded);
  return found;
}

std::string opening(std::string_view text) {
  std::string found;
  for (const text::Word& word : text::words(text)) found += word.opens ? '^' : '.';
  return found;
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("words are folded, and keep what belongs to them") {
  CHECK(folded("Don't stop, Zoë’s CAFÉ!") == Words{"don't", "stop", "zoe's", "cafe"});
  CHECK(folded("at 7:30 on 2023-05-08, 3.5 km or 1,000 m") ==
        Words{"at", "7:30", "on", "2023-05-08", "3.5", "km", "or", "1,000", "m"});
  CHECK(folded("well-known and/or 'quoted'") == Words{"well", "known", "and", "or", "quoted"});
  CHECK(folded("東京 の PS5") == Words{"東", "京", "の", "ps5"});
  CHECK(folded("Straße ﬁne") == Words{"strasse", "fine"});
  CHECK(folded("").empty());
  CHECK(folded("?! 😀 …").empty());
  CHECK(folded("a\xFFz \xC3") == Words{"a", "z"});
}

TEST_CASE("words know their place, and whether a sentence begins") {
  const std::string text = "So, Ünal came.";
  const auto words = text::words(text);
  REQUIRE(words.size() == 3);
  CHECK(text.substr(words[1].start, words[1].end - words[1].start) == "Ünal");
  CHECK(words[1].capital);
  CHECK(!words[1].shouted);
  CHECK(!words[2].capital);
  CHECK(text::words("NASA")[0].shouted);
  CHECK(text::words("iPhone")[0].capital);
  CHECK(!text::words("I")[0].shouted);
  CHECK(opening("Hi there. We met Dr. Smith, today - and? Yes") == "^.^....^^");
  CHECK(opening("she said \"Go\" 😀 now") == "^.^^");
  CHECK(opening("one\ntwo (three) boys' room") == "^^^^.");
}

TEST_CASE("terms leave out grammar and say each word once") {
  CHECK(text::terms(text::words("I don't like the dog's bone, the DOG likes it")) ==
        Words{"bone", "dog", "like", "likes"});
  CHECK(text::terms(text::words("I'm sure we've met O'Brien")) == Words{"met", "o'brien", "sure"});
  CHECK(text::terms({}).empty());
}

TEST_CASE("a phrase stands where all its words do") {
  const auto words = text::words("as you said, we talked");
  CHECK(text::stands_at(words, 1, "you said"));
  CHECK(text::stands_at(words, 3, "we"));
  CHECK(!text::stands_at(words, 1, "you sa"));
  CHECK(!text::stands_at(words, 1, "you saids"));
  CHECK(!text::stands_at(words, 4, "talked about"));
  CHECK(!text::stands_at(words, 9, "you"));
}
