#include "reef/memory/importance.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "reef/core/error.h"
#include "reef/memory/internal/band.h"
#include "reef/memory/schema.h"
#include "support/tree_fixture.h"

using namespace reef;
using memory::Importance;
using memory::Scored;
using memory::Turn;

namespace {

Scored one(std::string_view content, double nearest = 0) {
  return Importance(memory::ImportanceOptions{}).score({"anna", content}, nearest);
}

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

const char* const kTalk[] = {"Hey Bob! How are you?",
                             "I went to Lisbon with Maria last week, it was wonderful",
                             "Wow! What did you see there?",
                             "The old harbour and a museum of tiles [image: a blue tile with a ship]",
                             "My sister lives in Porto",
                             "Please remember that my flight is on Friday",
                             "ok",
                             "Maria told me about the tiles, too. Did you buy some?",
                             "We bought six tiles in the harbour yesterday"};

}  // namespace

TEST_CASE("the weighted sum of the terms is the logit, its sigmoid the score") {
  const Scored s = one("Thanks! I love my dog Rex, do you remember him?", .25);
  CHECK(s.terms.emotion == doctest::Approx(std::abs(s.sentiment)));
  CHECK(s.terms.emotion > .5);
  CHECK(s.terms.request == 1);
  CHECK(!s.terms.asked);
  CHECK(s.terms.nearest == .25);
  CHECK(s.terms.reference == .5);
  CHECK(s.terms.personal == doctest::Approx((1 + 0 + 1 / 3.0) / 3));
  CHECK(!s.terms.answer);
  CHECK(s.terms.question);
  CHECK(s.terms.greeting);
  // Five words, none seen before: each weighs ln(1.5 / .5).
  CHECK(s.words.size() == 5);
  CHECK(s.terms.novelty == doctest::Approx(.6 * 5 * std::log(3.0) / 60 + .4));
  const double logit =
      .25 * s.terms.emotion + .5 + 3 * s.terms.novelty + .75 * .75 + .3 * .5 + 2.9 * s.terms.personal - .4 - .25 - 3.2;
  CHECK(s.logit == doctest::Approx(logit));
  CHECK(s.shift == 0);
  CHECK(s.score == doctest::Approx(sigmoid(logit)));
}

TEST_CASE("words of a picture count, feelings and questions are those of what was said") {
  const Scored s = one("Look [image: a wonderful lighthouse?]");
  CHECK(s.words.size() == 3);
  CHECK(s.sentiment == 0);
  CHECK(!s.terms.question);
  CHECK(one("Look [image: unfinished").words.size() == 3);
  CHECK(Importance::word_hashes("Look [image: a wonderful lighthouse?]") == s.words);
  CHECK(one("").words.empty());
  CHECK(one("").terms.novelty == 0);
}

TEST_CASE("whoever asks to remember is heard") {
  const Scored s = one("remember this");
  CHECK(s.terms.asked);
  CHECK(s.score == .9);
}

TEST_CASE("df, names and what stood before are those of earlier messages") {
  Importance importance{memory::ImportanceOptions{}};
  const Scored first = importance.score({"anna", "Did you see Lisbon?"}, 0);
  CHECK(first.terms.reference == 0);
  CHECK(!first.terms.answer);
  const Scored second = importance.score({"bob", "Lisbon was lovely"}, 0, Turn{"anna", "Did you see Lisbon?"});
  CHECK(second.terms.answer);
  CHECK(second.terms.reference == .25);  // at a sentence's start, since it is known
  CHECK(second.words.size() == 2);
  CHECK(second.terms.novelty == doctest::Approx(.6 * (std::log(2.5 / 1.5) + std::log(2.5 / .5)) / 60 + .4 / 2));
  const auto answers = [&](const std::optional<Turn>& previous, std::string_view speaker) {
    return importance.score({speaker, "It is"}, 0, previous).terms.answer;
  };
  CHECK(!answers(Turn{"anna", "And green"}, "bob"));
  CHECK(!answers(Turn{"bob", "Is it?"}, "bob"));
  CHECK(answers(Turn{"bob", "Really? I see."}, "anna"));
  CHECK(!answers(std::nullopt, "anna"));
}

TEST_CASE("rare words are those of two messages before, or of one in a hundred") {
  Importance importance{memory::ImportanceOptions{}};
  for (int i = 0; i < 3; ++i) CHECK(importance.score({"a", "tiles"}, 0).rare.size() == 1);
  CHECK(importance.score({"a", "tiles"}, 0).rare.empty());
  for (int i = 0; i < 400; ++i) importance.score({"a", "harbour"}, 0);
  CHECK(importance.score({"a", "tiles"}, 0).rare.size() == 1);  // four of 404
}

TEST_CASE("the band takes a share of the median, from the 21st logit on") {
  memory::internal::Band band;
  for (int i = 0; i < 19; ++i) band.add(i);
  CHECK(band.shift() == 0);
  band.add(19);
  CHECK(band.quantile(.5) == 9.5);
  CHECK(band.quantile(.6) == doctest::Approx(11.4));
  CHECK(band.shift() == doctest::Approx(20.0 / 70 * 9.5));

  memory::internal::Band low;  // most say little: the .6 quantile is raised to 0
  for (int i = 0; i < 40; ++i) low.add(-i - 1);
  CHECK(low.shift() == doctest::Approx(40.0 / 90 * low.quantile(.6)));
  memory::internal::Band mixed;
  for (int i = 0; i < 40; ++i) mixed.add(i < 22 ? -1 : 1);
  CHECK(mixed.shift() == 0);

  for (int i = 0; i < 1000; ++i) mixed.add(2);
  CHECK(mixed.size() == 1000);
  CHECK(mixed.quantile(0) == 2);
  CHECK(mixed.shift() == doctest::Approx(2 * 1000.0 / 1050));
}

TEST_CASE("without the band nothing is shifted") {
  memory::ImportanceOptions options;
  options.band = false;
  Importance plain(options), banded{memory::ImportanceOptions{}};
  bool shifted = false;
  for (int i = 0; i < 40; ++i) {
    const std::string text =
        "I saw Anna in Lisbon and word" + std::to_string(i) + " at May " + std::to_string(i % 28 + 1);
    CHECK(plain.score({"a", text}, 0).shift == 0);
    shifted = banded.score({"a", text}, 0).shift > 0;
  }
  CHECK(shifted);
}

TEST_CASE("the second score adds mentions, up to a limit") {
  CHECK(memory::second_score(.4, 0) == .4);
  CHECK(memory::second_score(.4, 1) == doctest::Approx(.475));
  CHECK(memory::second_score(.4, 9) == doctest::Approx(.55));
  // A language model moves it by .2 at most.
  CHECK(memory::second_score(.4, 1, .5) == doctest::Approx(.475));
  CHECK(memory::second_score(.4, 0, 1) == doctest::Approx(.6));
  CHECK(memory::second_score(.7, 0, 0) == doctest::Approx(.5));
  CHECK(memory::second_score(.1, 0, 0) == 0);
  CHECK(memory::second_score(.95, 9, 1) == 1);
}

TEST_CASE_FIXTURE(test::TreeFixture, "saved and read again at any place, the scores are the same") {
  Importance whole{memory::ImportanceOptions{}};
  io::Database database = memory::open_memories(tree, "alice");
  auto decide = database.prepare(
      "INSERT INTO decisions VALUES (NULL, ?, 's', '2024-01-01 00:00:00.000', 'discarded', ?, ?, 0, 0, 0, 0, 0, 0, 0, "
      "0, "
      "0, 0, 0, NULL, NULL, '2024-01-01 00:00:00.000', NULL, NULL, NULL, NULL)");
  std::int64_t message = 0;
  std::string before;
  for (int round = 0; round < 5; ++round)
    for (const char* text : kTalk) {
      Importance part(memory::ImportanceOptions{}, database);
      std::optional<Turn> previous;
      if (!before.empty()) previous = Turn{message % 2 == 0 ? "a" : "b", before};
      ++message;
      const Turn turn{message % 2 == 0 ? "a" : "b", text};
      const Scored expected = whole.score(turn, 0, previous), scored = part.score(turn, 0, previous);
      CHECK(scored.logit == expected.logit);
      CHECK(scored.shift == expected.shift);
      CHECK(scored.rare == expected.rare);
      io::Transaction transaction(database);
      decide.bind(1, message).bind(2, scored.score).bind(3, scored.logit).run();
      part.save();
      transaction.commit();
      before = text;
    }
  CHECK(whole.names("Porto").size() == 1);
  CHECK(Importance(memory::ImportanceOptions{}, database).names("Porto").size() == 1);
  database.execute("UPDATE progress SET value = 'many' WHERE key = 'scored_messages'");
  CHECK_THROWS_WITH_AS(Importance(memory::ImportanceOptions{}, database), doctest::Contains("scored_messages"), Error);
}

TEST_CASE_FIXTURE(test::TreeFixture, "weights and thresholds come from system.yaml") {
  const auto options = [&](const std::string& yaml) {
    return memory::importance_options(tree::Config::parse("system", yaml, "system.yaml"));
  };
  const memory::ImportanceOptions defaults = options(""), none;
  CHECK(defaults.novelty == none.novelty);
  CHECK(defaults.bias == none.bias);
  CHECK(defaults.second == none.second);
  CHECK(defaults.band == none.band);
  const auto set = options("memory:\n  weights:\n    novelty: 4\n  thresholds:\n    discard: 0.2\n  band: false\n");
  CHECK(set.novelty == 4);
  CHECK(set.discard == .2);
  CHECK(!set.band);
  CHECK_THROWS_WITH_AS(options("memory:\n  thresholds:\n    discard: 0.8\n"), doctest::Contains("system.yaml:3"),
                       Error);
}
