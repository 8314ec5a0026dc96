#include "reef/session/index.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "reef/session/schema.h"
#include "reef/session/turn_store.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

struct Fixture : test::TreeFixture {
  io::Database database = session::open_conversations(tree);
  test::FakeEmbedder embedder;
  int minutes = 0;

  std::int64_t say(const std::string& session, const std::string& text, const std::string& time = "") {
    database.execute("INSERT OR IGNORE INTO sessions(id, persona_id) VALUES ('" + session + "', 'alice')");
    auto add =
        database.prepare("INSERT INTO messages(session_id, role, content, created_at, speaker) VALUES (?,?,?,?,?)");
    const std::string when = time.empty() ? "2026-01-01 10:" + std::to_string(10 + minutes++) + ":00.000" : time;
    add.bind(1, session).bind(2, "user").bind(3, text).bind(4, when).bind(5, "Anna").run();
    return database.last_insert_rowid();
  }
  session::IndexReport index(session::IndexOptions options = {}) {
    options.persona = "alice";
    return session::index_turns(tree, options, embedder, no_progress());
  }
  std::vector<float> expected(const std::string& passage) {
    std::vector<float> vector(32);
    embedder.embed_query(passage, vector);
    return vector;
  }
  bool has_vector_of(std::int64_t id, const std::string& passage) {
    session::TurnReader reader(tree, "alice");
    const auto position = reader.map().position_of(id);
    REQUIRE(position);
    const auto row = reader.vectors().row(*position);
    return std::vector<float>(row.begin(), row.end()) == expected(passage);
  }
  void require_sound() {
    for (const auto& fault : session::verify_turns(tree, "alice", std::chrono::milliseconds(0)))
      FAIL(fault.file << ": " << fault.what);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "each turn is embedded with the one before it in its session, once") {
  const auto first = say("s", "where shall we meet"), second = say("s", "at the pier");
  const auto other = say("t", "nothing of that");
  say("s", "  \n ");
  auto report = index();
  CHECK(report.embedded == 3);
  CHECK(report.turns == 3);
  CHECK(report.pending == 0);
  CHECK(has_vector_of(first, "where shall we meet"));
  CHECK(has_vector_of(second, "where shall we meet\nat the pier"));
  CHECK(has_vector_of(other, "nothing of that"));
  require_sound();

  report = index();
  CHECK(!report.changed());
  CHECK(report.turns == 3);
  CHECK(session::pending_turns(tree, "alice") == 0);
}

TEST_CASE_FIXTURE(Fixture, "a turn that comes in between is followed by the right one") {
  const auto first = say("s", "one"), last = say("s", "three");
  index();
  const auto middle = say("s", "two", "2026-01-01 10:10:30.000");
  CHECK(index().embedded == 2);  // it, and the one that follows it now
  CHECK(has_vector_of(middle, "one\ntwo"));
  CHECK(has_vector_of(last, "two\nthree"));
  session::TurnReader reader(tree, "alice");
  const auto at = [&](std::int64_t id) { return reader.map()[*reader.map().position_of(id)]; };
  CHECK(at(first).next == reader.map().position_of(middle));
  CHECK(at(last).previous == reader.map().position_of(middle));
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "what was deleted or changed leaves the vectors, and those that follow it") {
  const auto first = say("s", "the password is swordfish"), second = say("s", "I will forget it"),
             third = say("s", "good");
  index();
  database.execute("DELETE FROM messages WHERE id = " + std::to_string(first));
  session::IndexOptions options;
  options.purge = true;
  auto report = index(options);
  CHECK(report.removed == 1);
  CHECK(report.rebuilt);
  CHECK(report.turns == 2);
  CHECK(has_vector_of(second, "I will forget it"));
  CHECK(has_vector_of(third, "I will forget it\ngood"));
  require_sound();

  database.execute("UPDATE messages SET content = 'I never will' WHERE id = " + std::to_string(second));
  CHECK(index().embedded == 2);
  CHECK(has_vector_of(second, "I never will"));
  CHECK(has_vector_of(third, "I never will\ngood"));
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a store that was removed is made again") {
  say("s", "one");
  say("s", "two");
  index();
  std::filesystem::remove_all(tree.turns("alice"));
  CHECK(session::pending_turns(tree, "alice") == 0);
  CHECK(index().embedded == 2);
  CHECK(!index().changed());
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a limit leaves the rest pending") {
  for (int i = 0; i < 10; ++i) say("s", "turn " + std::to_string(i));
  session::IndexOptions options;
  options.limit = 4;
  CHECK(index(options).pending == 6);
  CHECK(index().embedded == 6);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "vectors of another model are made anew only when that is asked for") {
  say("s", "one");
  say("s", "two");
  index();
  test::FakeEmbedder second("other");
  session::IndexOptions options;
  options.persona = "alice";
  CHECK_THROWS_AS(session::index_turns(tree, options, second, no_progress()), Error);
  options.again = true;
  const auto report = session::index_turns(tree, options, second, no_progress());
  CHECK(report.embedded == 2);
  CHECK(report.turns == 2);
  CHECK(session::TurnReader(tree, "alice").vectors().state().model == "other");
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a long turn is whole, and takes the end of the one before it along") {
  const test::FakeEmbedder model;  // 40 tokens
  std::string thirty, words;
  for (int i = 0; i < 30; ++i) thirty += " t" + std::to_string(i);
  for (int i = 0; i < 60; ++i) words += "w" + std::to_string(i) + " ";
  const std::string passage = session::turn_passage(words, thirty, model);
  CHECK(passage.ends_with("\n" + thirty));
  CHECK(passage.find("w59") != std::string::npos);
  CHECK(passage.find("w40") == std::string::npos);
  CHECK(model.count_tokens(passage) <= 40);
  CHECK(model.count_tokens(passage) > 34);
  CHECK(session::turn_passage("before", words, model) == words);
  CHECK(session::turn_passage("", "after", model) == "after");
}
