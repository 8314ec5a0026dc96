#include "reef/session/index.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "reef/session/schema.h"
#include "reef/session/turn_passages.h"
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
  const auto report = index();
  CHECK(report.removed == 1);
  CHECK(has_vector_of(second, "I will forget it"));
  CHECK(has_vector_of(third, "I will forget it\ngood"));
  require_sound();

  database.execute("UPDATE messages SET content = 'I never will' WHERE id = " + std::to_string(second));
  CHECK(index().embedded == 2);
  CHECK(has_vector_of(second, "I never will"));
  CHECK(has_vector_of(third, "I never will\ngood"));
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "purged without a model: the removed and those behind them, which are pending") {
  const auto first = say("s", "the password is swordfish"), second = say("s", "I will forget it"),
             third = say("s", "good");
  index();
  database.execute("DELETE FROM messages WHERE id = " + std::to_string(first));
  session::purge_turns(tree, "alice", std::chrono::milliseconds(0));
  {
    session::TurnReader reader(tree, "alice");
    CHECK(reader.vectors().state().rows_total == 1);  // written anew
    CHECK(!reader.map().position_of(second));
  }
  CHECK(has_vector_of(third, "I will forget it\ngood"));
  CHECK(session::pending_turns(tree, "alice") == 1);
  require_sound();
  CHECK(index().embedded == 2);  // and what follows it
  CHECK(has_vector_of(second, "I will forget it"));
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

TEST_CASE_FIXTURE(Fixture, "embedding all of them anew, interrupted, leaves pending what was") {
  say("s", "one");
  index();
  database.execute("BEGIN");
  for (int i = 0; i < 3000; ++i) say("t", "turn " + std::to_string(i), "2026-01-02 00:00:00.000");
  database.execute("COMMIT");
  int batches = 0;
  test::FakeEmbedder second("other", [&] {
    if (++batches == 3) throw Error(Errc::interrupted, "");
  });
  session::IndexOptions options;
  options.persona = "alice";
  options.again = true;
  CHECK_THROWS_AS(session::index_turns(tree, options, second, no_progress()), Error);
  CHECK(session::pending_turns(tree, "alice") == 3000);
  require_sound();
  const auto changed = say("t", "this one changes", "2026-01-02 00:00:00.000");
  test::FakeEmbedder third("other", [&] {
    if (++batches == 6)  // after it was read
      database.execute("UPDATE messages SET content = 'it did' WHERE id = " + std::to_string(changed));
  });
  CHECK(session::index_turns(tree, options, third, no_progress()).embedded == 3002);
  CHECK(session::pending_turns(tree, "alice") == 1);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "anew, but not where the vectors are of this model already") {
  say("s", "one");
  index();
  say("s", "two");
  session::IndexOptions options;
  options.again = true;
  options.other_models_only = true;
  CHECK(index(options).embedded == 1);
  CHECK(embedder.embedded == 2);
  options.persona = "alice";
  test::FakeEmbedder second("other");
  CHECK(session::index_turns(tree, options, second, no_progress()).embedded == 2);
}

TEST_CASE_FIXTURE(Fixture, "a message without text parts no neighbours, and one that lost its text leaves") {
  const auto first = say("s", "which day is it");
  const auto blank = say("s", "\x01 \n");
  const auto last = say("s", "it is sunday"), other = say("s", "thanks");
  index();
  CHECK(has_vector_of(last, "which day is it\nit is sunday"));
  CHECK(session::TurnPassages(database).of(last, "it is sunday", embedder) == "which day is it\nit is sunday");
  {
    session::TurnReader reader(tree, "alice");
    CHECK(reader.map()[*reader.map().position_of(first)].next == reader.map().position_of(last));
    CHECK(!reader.map().position_of(blank));
  }
  require_sound();
  database.execute("UPDATE messages SET content = '' WHERE id = " + std::to_string(last));
  CHECK(index().removed == 1);
  CHECK(has_vector_of(other, "which day is it\nthanks"));
  CHECK(!session::TurnReader(tree, "alice").map().position_of(last));
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "what a tool says names nobody") {
  say("s", "one");
  database.execute("UPDATE messages SET role = 'tool', speaker = 'python'");
  say("s", "two");
  index();
  CHECK(session::TurnReader(tree, "alice").map().speakers() == std::vector<std::string>{"Anna"});
}

TEST_CASE_FIXTURE(test::TreeFixture, "where there are no conversations, none are made") {
  test::FakeEmbedder embedder;
  session::IndexOptions options;
  options.persona = "alice";
  CHECK(!session::index_turns(tree, options, embedder, no_progress()).changed());
  CHECK(!std::filesystem::exists(session::conversations_file(tree)));
  CHECK(!std::filesystem::exists(tree.turns("alice")));
}

TEST_CASE("text without spaces is cut, at a character") {
  const test::FakeEmbedder model;
  std::string before;
  for (int i = 0; i < 60; ++i) before += "w" + std::to_string(i) + "\u3002";
  const std::string passage = session::turn_passage(before, "after", model);
  CHECK(passage.ends_with("w59\u3002\nafter"));
  CHECK(model.count_tokens(passage) <= 40);
  CHECK(model.count_tokens(passage) > 30);
  CHECK((static_cast<unsigned char>(passage.front()) & 0xC0) != 0x80);
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
