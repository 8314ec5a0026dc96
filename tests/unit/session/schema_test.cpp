#include "reef/session/schema.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
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
