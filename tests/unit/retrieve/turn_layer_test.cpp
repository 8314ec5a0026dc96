#include "reef/retrieve/turn_layer.h"

#include <doctest/doctest.h>

#include <cmath>

#include "reef/core/error.h"
#include "reef/retrieve/conversation.h"
#include "reef/session/index.h"
#include "reef/session/schema.h"
#include "reef/text/full_text.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

const std::vector<std::string> kSpeakers{"Caroline Smith", "Will", "user", "Zoë"};

struct Fixture : test::TreeFixture {
  io::Database database = session::open_conversations(tree);
  int seconds = 0;

  std::int64_t say(const std::string& persona, const std::string& session, const std::string& speaker,
                   const std::string& text) {
    database.execute("INSERT OR IGNORE INTO sessions(id, persona_id) VALUES ('" + session + "', '" + persona + "')");
    auto add =
        database.prepare("INSERT INTO messages(session_id, role, content, created_at, speaker) VALUES (?,?,?,?,?)");
    const std::string time = "2026-01-01 10:00:" + std::to_string(10 + seconds++) + ".000";
    add.bind(1, session).bind(2, "user").bind(3, text).bind(4, time).bind(5, speaker).run();
    return database.last_insert_rowid();
  }
  void index(const std::string& persona = "alice") {
    test::FakeEmbedder embedder;
    session::IndexOptions options;
    options.persona = persona;
    session::index_turns(tree, options, embedder, no_progress());
  }
  retrieve::MessageAnswer ask(const std::string& question, retrieve::MessageQuery query = {}) {
    const tree::Config config = tree::Config::load(tree);
    retrieve::ConversationSearcher searcher(tree, config,
                                            [](const std::string&) { return std::make_unique<test::FakeEmbedder>(); });
    return searcher.search(question, query);
  }
};

std::vector<std::int64_t> ids(const retrieve::MessageAnswer& answer) {
  std::vector<std::int64_t> found;
  for (const auto& result : answer.results) found.push_back(result.id);
  return found;
}

}  // namespace

TEST_CASE("a question names speakers by their name, or a word of it with a capital, with a possessive or without") {
  const auto named = [](const char* question) { return retrieve::named_speakers(question, kSpeakers); };
  CHECK(named("When did Caroline go?") == std::vector<bool>{false, true, false, false, false});
  CHECK(named("what is caroline smith's plan") == std::vector<bool>{false, true, false, false, false});
  CHECK(named("what is a smith") == std::vector<bool>(5, false));
  CHECK(named("what is \u201cZOË\u201d\u2014no, \u2018zoe\u2019?") ==
        std::vector<bool>{false, false, false, false, true});
  CHECK(named("Smith\u2019s and Zoë's") == std::vector<bool>{false, true, false, false, true});
  CHECK(named("Will the user say it? Carolines") == std::vector<bool>(5, false));
}

TEST_CASE("names leave the question, unless nothing else is in it") {
  const auto rest = [](const char* question) { return retrieve::without_names(question, kSpeakers); };
  CHECK(rest("When did Caroline go to the pier?") == "When did go to the pier?");
  CHECK(rest("Caroline's plan") == "plan");
  CHECK(rest("What did Caroline and Zoë say?") == "What did and say?");
  CHECK(rest("Caroline?") == "Caroline?");
  CHECK(rest("Where does Caroline Smith live?") == "Where does live?");
  CHECK(rest("is \u201cZoë\u201d here\u2014or not") == "is \u201c\u201d here\u2014or not");
  const std::vector<std::string> others{"Game Master", "änne", "James"};
  CHECK(retrieve::without_names("which game is this", others) == "which game is this");
  CHECK(retrieve::without_names("what says the game master", others) == "what says the ");
  CHECK(retrieve::without_names("was ÄNNE da", others) == "was da");
  CHECK(retrieve::without_names("in James' boat", others) == "in boat");
  CHECK(rest("") == "");
}

TEST_CASE_FIXTURE(Fixture, "a turn is found by what was said before and after it, under one that says it itself") {
  say("alice", "s", "Anna", "something about nothing");
  const auto before = say("alice", "s", "Ben", "and how was the weather");
  const auto said = say("alice", "s", "Anna", "the lighthouse burnt");
  const auto after = say("alice", "s", "Ben", "oh no");
  say("alice", "t", "Anna", "elsewhere entirely");
  retrieve::MessageQuery words;
  words.mode = retrieve::Mode::bm25;
  const auto answer = ask("lighthouse", words);
  REQUIRE(answer.results.size() == 3);
  CHECK(answer.results[0].id == said);
  CHECK(answer.results[0].session == "s");
  CHECK(answer.results[0].speaker == "Anna");
  CHECK(answer.results[0].content == "the lighthouse burnt");
  CHECK(answer.results[0].created == "2026-01-01T10:00:12.000Z");
  CHECK(std::vector<std::int64_t>{answer.results[1].id, answer.results[2].id} ==
        std::vector<std::int64_t>{after, before});
  CHECK(answer.by_words == 5);
}

TEST_CASE_FIXTURE(Fixture, "BM25 is what FTS5 says of a table whose second column holds the neighbours") {
  std::vector<std::string> texts{"red boat",          "a boat and a boat", "green",
                                 "the boat is green", "nothing here",      "blue boat sails"};
  for (const std::string& text : texts) say("alice", "s", "Anna", text);
  io::Database peer(dir / "peer.sqlite", io::OpenMode::create);
  peer.execute("CREATE VIRTUAL TABLE t USING fts5(own, around, tokenize = 'porter unicode61')");
  auto add = peer.prepare("INSERT INTO t(own, around) VALUES (?, ?)");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string around = (i > 0 ? texts[i - 1] : "") + " " + (i + 1 < texts.size() ? texts[i + 1] : "");
    add.bind(1, texts[i]).bind(2, around).run();
  }
  auto query =
      peer.prepare("SELECT rowid, -bm25(t, 1.0, 0.4) FROM t WHERE t MATCH 'green OR sails' ORDER BY 2 DESC, 1");
  std::vector<std::pair<std::int64_t, double>> wanted;
  while (query.step()) wanted.emplace_back(query.integer(0), query.real(1));
  retrieve::MessageQuery words;
  words.mode = retrieve::Mode::bm25;
  const auto answer = ask("green sails", words);
  REQUIRE(answer.results.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    CHECK(answer.results[i].id == wanted[i].first);
    CHECK(answer.results[i].bm25 == doctest::Approx(wanted[i].second / wanted[0].second).epsilon(1e-4));
  }
}

TEST_CASE_FIXTURE(Fixture, "the cosine is that of a turn and half its neighbours") {
  const auto a = say("alice", "s", "", "alpha beta"), b = say("alice", "s", "", "gamma"),
             c = say("alice", "s", "", "delta");
  index();
  retrieve::MessageQuery dense;
  dense.mode = retrieve::Mode::dense;
  const auto answer = ask("gamma delta", dense);
  test::FakeEmbedder embedder;
  const auto vector = [&](const char* passage) {
    std::vector<float> made(32);
    embedder.embed_query(passage, made);
    return made;
  };
  const auto va = vector("alpha beta"), vb = vector("alpha beta\ngamma"), vc = vector("gamma\ndelta"),
             q = vector("gamma delta");
  const auto cosine = [&](const std::vector<float>& own, std::vector<const std::vector<float>*> around) {
    double product = 0, squares = 0;
    for (std::size_t i = 0; i < 32; ++i) {
      double x = own[i];
      for (const auto* other : around) x += .5 * (*other)[i];
      product += x * q[i];
      squares += x * x;
    }
    return product / std::sqrt(squares);
  };
  REQUIRE(answer.results.size() == 3);
  for (const auto& result : answer.results) {
    const double wanted = result.id == a   ? cosine(va, {&vb})
                          : result.id == b ? cosine(vb, {&va, &vc})
                                           : cosine(vc, {&vb});
    CHECK(*result.cosine == doctest::Approx(wanted).epsilon(1e-4));
  }
  CHECK(answer.results[0].id == c);
}

TEST_CASE_FIXTURE(Fixture, "turns of a speaker whom the question names come first") {
  const auto one = say("alice", "s", "Anna", "I keep bees"), two = say("alice", "t", "Ben", "I keep bees");
  index();
  CHECK(ids(ask("what does Ben keep"))[0] == two);
  CHECK(ids(ask("what does Anna keep"))[0] == one);
}

TEST_CASE_FIXTURE(Fixture, "a speaker of whom no turn is left is a word like others") {
  const auto gone = say("alice", "s", "Paris", "I keep bees");
  const auto stays = say("alice", "s", "Anna", "the lighthouse of paris");
  index();
  database.execute("DELETE FROM messages WHERE id = " + std::to_string(gone));
  index();
  retrieve::MessageQuery dense;
  dense.mode = retrieve::Mode::dense;
  const auto answer = ask("lighthouse Paris", dense);
  REQUIRE(ids(answer) == std::vector<std::int64_t>{stays});
  CHECK(*answer.results[0].cosine > .6);  // of both words; of one of four it is .5
}

TEST_CASE_FIXTURE(Fixture, "a persona's conversations are its own") {
  const auto mine = say("alice", "s", "Anna", "the secret is a lighthouse");
  const auto theirs = say("bob", "b", "Ben", "another lighthouse, for bob alone");
  index("alice");
  index("bob");
  retrieve::MessageQuery alice;
  alice.persona = "alice";
  CHECK(ids(ask("lighthouse", alice)) == std::vector<std::int64_t>{mine});
  alice.persona = "bob";
  CHECK(ids(ask("lighthouse", alice)) == std::vector<std::int64_t>{theirs});
  CHECK(ids(ask("lighthouse")).size() == 2);
  alice.persona = "carol";
  CHECK_THROWS_WITH_AS(ask("lighthouse", alice), doctest::Contains("carol"), Error);
}

TEST_CASE_FIXTURE(Fixture, "what was deleted is not found, what is not embedded is found by words") {
  const auto old = say("alice", "s", "Anna", "an old lighthouse");
  index();
  const auto fresh = say("alice", "s", "Anna", "a new lighthouse");
  auto answer = ask("lighthouse");
  CHECK(ids(answer).size() == 2);
  CHECK(answer.by_words == 1);
  database.execute("DELETE FROM messages WHERE id = " + std::to_string(old));
  CHECK(ids(ask("lighthouse")) == std::vector<std::int64_t>{fresh});
  CHECK_THROWS_WITH_AS(ask(" \n"), doctest::Contains("empty"), Error);
}
