#include "reef/session/schema.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "reef/session/summary.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

struct Fixture : test::TreeFixture {
  io::Database database = session::open_conversations(tree);

  std::int64_t one(const std::string& sql) {
    auto statement = database.prepare(sql);
    REQUIRE(statement.step());
    return statement.integer(0);
  }
  std::int64_t matches(const std::string& word) {
    return one("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH '" + word + "'");
  }
  void add(const std::string& session, const std::string& persona, const std::string& content) {
    database.execute("INSERT OR IGNORE INTO sessions(id, persona_id) VALUES ('" + session + "', '" + persona + "')");
    database.execute("INSERT INTO messages(session_id, role, content) VALUES ('" + session + "', 'user', '" + content +
                     "')");
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "whoever writes, the full text and the list of pending messages follow") {
  add("s1", "alice", "the harbour at night");
  add("s2", "bob", "another harbour");
  add("s1", "alice", "a pier");
  CHECK(matches("harbours") == 2);
  const auto alice = session::persona_number(database, "alice"), bob = session::persona_number(database, "bob");
  CHECK(alice > 0);
  CHECK(bob > alice);
  CHECK(session::persona_number(database, "carol") == 0);
  CHECK(one("SELECT count(*) FROM pending_messages WHERE persona = " + std::to_string(alice)) == 2);
  CHECK(one("SELECT rowid >> 40 FROM messages_fts WHERE messages_fts MATCH 'pier'") == alice);

  database.execute("UPDATE messages SET content = 'a lighthouse' WHERE content = 'a pier'");
  CHECK(matches("pier") == 0);
  CHECK(matches("lighthouse") == 1);
  database.execute("DELETE FROM messages WHERE session_id = 's1'");
  database.execute("DELETE FROM sessions WHERE id = 's1'");
  CHECK(matches("harbour") == 1);
  CHECK(matches("lighthouse") == 0);
  CHECK(one("SELECT count(*) FROM pending_messages") == 1);
  CHECK(one("SELECT count(*) FROM removed_messages WHERE persona = " + std::to_string(alice)) == 2);
  database.execute("INSERT INTO messages_fts(messages_fts) VALUES ('integrity-check')");
}

TEST_CASE_FIXTURE(Fixture, "what is moved takes its words along, and what the vectors have to know") {
  const auto check = [&] {
    database.execute("INSERT INTO messages_fts(messages_fts, rank) VALUES ('integrity-check', 1)");
  };
  add("s1", "alice", "the harbour");
  add("s1", "alice", "a pier");
  add("s2", "bob", "a boat");
  const auto alice = session::persona_number(database, "alice"), bob = session::persona_number(database, "bob");
  database.execute("DELETE FROM pending_messages");
  database.execute("UPDATE messages SET session_id = 's2', content = 'two piers' WHERE content = 'a pier'");
  check();
  CHECK(one("SELECT rowid >> 40 FROM messages_fts WHERE messages_fts MATCH 'pier'") == bob);
  CHECK(one("SELECT persona FROM pending_messages") == bob);
  CHECK(one("SELECT persona FROM removed_messages") == alice);
  database.execute("UPDATE messages SET id = 77 WHERE content = 'two piers'");
  check();
  CHECK(one("SELECT rowid & 0xffffffffff FROM messages_fts WHERE messages_fts MATCH 'pier'") == 77);
  CHECK(one("SELECT message FROM pending_messages") == 77);
  database.execute("UPDATE sessions SET persona_id = 'carol' WHERE id = 's2'");
  check();
  const auto carol = session::persona_number(database, "carol");
  CHECK(carol > bob);
  CHECK(one("SELECT count(*) FROM pending_messages WHERE persona = " + std::to_string(carol)) == 2);
  CHECK(one("SELECT count(*) FROM pending_messages") == 2);
  CHECK(one("SELECT count(*) FROM removed_messages WHERE persona = " + std::to_string(bob)) == 3);
  database.execute("UPDATE messages SET content = '', archive_offset = 0 WHERE id = 77");
  for (const char* sql :
       {"UPDATE sessions SET persona_id = 'bob' WHERE id = 's2'", "UPDATE messages SET session_id = 's1' WHERE id = 77",
        "UPDATE messages SET id = 78 WHERE id = 77"})
    CHECK_THROWS_WITH_AS(database.execute(sql), doctest::Contains("archived message"), Error);
}

TEST_CASE_FIXTURE(Fixture, "without foreign keys: a message may come before its session, and has to go before it") {
  database.execute("PRAGMA foreign_keys = OFF");
  database.execute("INSERT INTO messages(session_id, role, content) VALUES ('s1', 'user', 'the harbour')");
  CHECK(matches("harbour") == 0);
  database.execute("INSERT INTO sessions(id, persona_id) VALUES ('s1', 'alice')");
  CHECK(matches("harbour") == 1);
  CHECK(one("SELECT count(*) FROM pending_messages") == 1);
  database.execute("INSERT OR REPLACE INTO sessions(id, persona_id) VALUES ('s1', 'alice')");
  database.execute("INSERT INTO messages_fts(messages_fts, rank) VALUES ('integrity-check', 1)");
  CHECK(one("SELECT count(*) FROM messages_fts_docsize") == 1);
  CHECK_THROWS_AS(database.execute("DELETE FROM sessions"), Error);
  CHECK_THROWS_AS(database.execute("UPDATE sessions SET id = 's2'"), Error);
  database.execute("DELETE FROM messages; DELETE FROM sessions");
  database.execute("INSERT INTO messages_fts(messages_fts, rank) VALUES ('integrity-check', 1)");
}

TEST_CASE_FIXTURE(test::TreeFixture, "a database of the documented schema alone gets the rest") {
  std::filesystem::create_directories(tree.conversations());
  const auto file = session::conversations_file(tree);
  {
    io::Database other(file, io::OpenMode::create);
    other.execute(
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, created_at TIMESTAMP, updated_at"
        " TIMESTAMP, title TEXT, summary TEXT);"
        "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT REFERENCES sessions(id), role "
        "TEXT"
        " NOT NULL, content TEXT NOT NULL, created_at TIMESTAMP, tokens INTEGER, metadata JSON);"
        "INSERT INTO sessions(id, persona_id) VALUES ('s', 'alice');"
        "INSERT INTO messages(session_id, role, content) VALUES ('s', 'user', 'the harbour')");
  }
  CHECK_THROWS_WITH_AS(session::read_conversations(tree), doctest::Contains("another program"), Error);
  auto database = session::open_conversations(tree);
  auto found = database.prepare("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'harbour'");
  REQUIRE(found.step());
  CHECK(found.integer(0) == 1);
  CHECK(session::read_conversations(tree));
}

TEST_CASE_FIXTURE(test::TreeFixture, "tables of other columns are left alone") {
  std::filesystem::create_directories(tree.conversations());
  const auto file = session::conversations_file(tree);
  {
    io::Database other(file, io::OpenMode::create);
    other.execute("CREATE TABLE sessions (id TEXT, persona_id TEXT); CREATE TABLE messages (id TEXT PRIMARY KEY)");
  }
  CHECK_THROWS_WITH_AS(session::open_conversations(tree), doctest::Contains("columns"), Error);
  io::Database other(file, io::OpenMode::read);
  auto tables = other.prepare("SELECT count(*) FROM sqlite_schema WHERE type IN ('table', 'index', 'trigger')");
  REQUIRE(tables.step());
  CHECK(tables.integer(0) == 3);  // and an automatic index
}

TEST_CASE_FIXTURE(Fixture, "a summary by a language model goes with what it was made of, whoever writes") {
  const auto rows = [&] {
    return one(
        "SELECT (SELECT count(*) FROM session_summaries) + (SELECT count(*) FROM summary_sentences) +"
        " (SELECT count(*) FROM summary_sources)");
  };
  const auto put = [&] {
    const auto missing = session::list_unsummarised(database, "alice", now());
    REQUIRE(missing.size() == 1);
    const auto first = one("SELECT min(id) FROM messages"), last = one("SELECT max(id) FROM messages");
    CHECK(session::put_summary(database, missing[0],
                               {"m", "2026-01-01 00:00:00.000", {{"One.", {first}, {}}, {"Two.", {first, last}, {}}}}));
    CHECK(rows() == 6);
    CHECK(session::list_unsummarised(database, "alice", now()).empty());
    CHECK(session::summary_faults(database).empty());
    CHECK(session::find_session(database, "s1")->summary == "One. Two.");
    CHECK(session::find_session(database, "s1")->summary_model == "m");
  };
  add("s1", "alice", "the harbour");
  add("s1", "alice", "a pier");
  add("s1", "alice", "a crane");
  database.execute("INSERT INTO sessions(id, persona_id) VALUES ('s2', 'bob')");
  put();
  const auto read = session::read_summary(database, "s1");
  REQUIRE(read);
  CHECK(read->sentences.size() == 2);
  CHECK(read->sentences[1].messages.size() == 2);

  database.execute("UPDATE messages SET content = 'a jetty' WHERE content = 'a pier'");
  CHECK(rows() == 0);
  CHECK(session::find_session(database, "s1")->summary.empty());
  put();
  database.execute("DELETE FROM messages WHERE content = 'a jetty'");  // that nothing rests on, but it was told
  CHECK(rows() == 0);
  CHECK(session::find_session(database, "s1")->summary.empty());
  put();
  add("s1", "alice", "a buoy");
  CHECK(rows() == 6);
  put();  // since there is another message
  const std::vector<std::string> ids{"s1", "none"};
  session::remove_summaries(database, ids);
  CHECK(rows() == 0);
  put();
  database.execute("UPDATE sessions SET summary = 'mine' WHERE id = 's1'");
  CHECK(rows() == 0);
  CHECK(session::list_unsummarised(database, "alice", now()).empty());
  session::remove_summaries(database, ids);
  CHECK(session::find_session(database, "s1")->summary == "mine");
  database.execute("UPDATE sessions SET summary = NULL WHERE id = 's1'");
  put();
  database.execute("UPDATE messages SET session_id = 's2' WHERE content = 'a buoy'");
  CHECK(rows() == 0);
  CHECK(session::find_session(database, "s1")->summary.empty());
  database.execute("UPDATE messages SET session_id = 's1' WHERE content = 'a buoy'");
  put();
  // As sqlite3 does it.
  database.execute(
      "PRAGMA foreign_keys = OFF; DELETE FROM messages WHERE session_id = 's1'; DELETE FROM sessions WHERE id = 's1'; "
      "PRAGMA foreign_keys = ON");
  CHECK(rows() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a summary is not written over what changed meanwhile, and faults of one are named") {
  add("s1", "alice", "the harbour");
  add("s2", "alice", "a pier");
  const auto missing = session::list_unsummarised(database, "alice", now());
  REQUIRE(missing.size() == 2);
  CHECK(session::list_unsummarised(database, "alice", now() - std::chrono::hours(24)).empty());
  CHECK(session::list_unsummarised(database, "bob", now()).empty());
  const auto s1 = missing[0].session == "s1" ? missing[0] : missing[1];
  const session::Summary summary{"m", "2026-01-01 00:00:00.000", {{"One.", {1}, {}}}};
  CHECK(!session::put_summary(database, s1, {"m", summary.created, {{"One.", {2}, {}}}}));  // of the other session
  add("s1", "alice", "a crane");
  CHECK(!session::put_summary(database, s1, summary));
  database.execute(
      "DELETE FROM messages WHERE content = 'a crane'; UPDATE sessions SET summary = 'mine' WHERE id = 's1'");
  CHECK(!session::put_summary(database, s1, summary));
  CHECK(session::find_session(database, "s1")->summary == "mine");
  CHECK(!session::read_summary(database, "s1"));

  database.execute("UPDATE sessions SET summary = NULL WHERE id = 's1'");
  REQUIRE(session::put_summary(database, s1, summary));
  CHECK(session::summary_faults(database).empty());
  database.execute("UPDATE summary_sentences SET sentence = 'Two.'");
  CHECK(session::summary_faults(database).size() == 1);
  database.execute("UPDATE summary_sentences SET sentence = 'One.'; UPDATE summary_sources SET message = 2");
  CHECK(session::summary_faults(database).size() == 1);
  database.execute("DELETE FROM summary_sources");
  CHECK(session::summary_faults(database).size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a message needs a session, and a newer schema is refused") {
  CHECK_THROWS_AS(database.execute("INSERT INTO messages(session_id, role, content) VALUES ('none', 'user', 'x')"),
                  Error);
  database.execute("PRAGMA user_version = 99");
  CHECK_THROWS_WITH_AS(session::open_conversations(tree), doctest::Contains("99"), Error);
  CHECK_THROWS_WITH_AS(session::read_conversations(tree), doctest::Contains("99"), Error);
}

TEST_CASE_FIXTURE(test::TreeFixture, "a tree without conversations says how they come") {
  CHECK_THROWS_WITH_AS(session::read_conversations(tree), doctest::Contains("no conversations"), Error);
}
