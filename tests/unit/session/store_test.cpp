#include "reef/session/store.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "reef/core/error.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

struct Fixture : test::TreeFixture {
  session::Store store{tree};

  session::NewMessage message(const std::string& id, const std::string& content, const std::string& session = "s") {
    session::NewMessage made;
    made.session = session;
    made.external_id = id;
    made.role = "user";
    made.content = content;
    made.created = "2026-01-01 00:00:00.000";
    return made;
  }
  session::PutCounts put(const std::vector<session::NewMessage>& messages) {
    session::PutCounts counts;
    CHECK(store.put("alice", messages, counts).empty());
    store.end_source(counts);
    return counts;
  }
  std::int64_t one(const std::string& sql) {
    auto statement = store.database().prepare(sql);
    REQUIRE(statement.step());
    return statement.integer(0);
  }
  bool is_in_files(const std::string& word) {
    for (const char* end : {"", "-wal"}) {
      std::ifstream file(session::conversations_file(tree).string() + end, std::ios::binary);
      const std::string bytes((std::istreambuf_iterator<char>(file)), {});
      if (bytes.find(word) != std::string::npos) return true;
    }
    return false;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what was removed and purged is in no byte of the files") {
  std::vector<session::NewMessage> messages;
  for (int i = 0; i < 3000; ++i)
    messages.push_back(message("m" + std::to_string(i), i % 500 == 7 ? "the zanzibarword is said here"
                                                                     : "harbour pier lamp " + std::to_string(i)));
  CHECK(put(messages).added == 3000);
  CHECK(is_in_files("zanzibarword"));
  std::vector<std::int64_t> ids;
  {
    auto rows = store.database().prepare(
        "SELECT rowid & 0xffffffffff FROM messages_fts WHERE messages_fts MATCH 'zanzibarword'");
    while (rows.step()) ids.push_back(rows.integer(0));
  }
  CHECK(ids.size() == 6);
  ids.push_back(999'999);  // there is none
  CHECK(store.remove_messages(ids) == 6);
  CHECK(store.purge_words(std::chrono::seconds(5), true) == session::Purged::wholly);
  CHECK_FALSE(is_in_files("zanzibarword"));
  CHECK_FALSE(is_in_files("anzibarword"));
  CHECK(one("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'harbour'") == 2994);
  store.database().execute("INSERT INTO messages_fts(messages_fts, rank) VALUES ('integrity-check', 1)");
}

TEST_CASE_FIXTURE(Fixture, "put tells new, changed and unchanged; a time that was made up changes nothing") {
  auto first = message("a", "x");
  CHECK(put({first, message("b", "y")}).added == 2);
  first.created = "2030-01-01 00:00:00.000";
  first.has_own_time = false;
  CHECK(put({first}).unchanged == 1);
  first.has_own_time = true;
  CHECK(put({first}).updated == 1);
  first.metadata = "{}";
  CHECK(put({first}).updated == 1);
  first.title = "T";
  const auto counts = put({first});
  CHECK(counts.unchanged == 1);
  CHECK(counts.titled == 1);
  const auto row = session::require_session(store.database(), "s");
  CHECK(row.title == "T");
  CHECK(row.created == "2026-01-01 00:00:00.000");
  CHECK(row.updated == "2030-01-01 00:00:00.000");
  session::PutCounts none;
  const auto refusals = store.put("bob", std::vector{first}, none);
  REQUIRE(refusals.size() == 1);
  CHECK(refusals[0].reason == "session 's' is alice's");
  CHECK(none.added + none.updated + none.unchanged == 0);
}

TEST_CASE_FIXTURE(Fixture, "what a message does not have stays as others filled it in") {
  auto made = message("a", "x");
  put({made});
  store.database().execute("UPDATE messages SET tokens = 7, speaker = 'Ann', metadata = '{\"k\":1}'");
  CHECK(put({made}).unchanged == 1);
  made.content = "y";
  CHECK(put({made}).updated == 1);
  CHECK(one("SELECT count(*) FROM messages WHERE content = 'y' AND tokens = 7 AND speaker = 'Ann'"
            " AND metadata = '{\"k\":1}'") == 1);
  made.tokens = 8;
  CHECK(put({made}).updated == 1);
  CHECK(one("SELECT tokens FROM messages") == 8);
}

TEST_CASE_FIXTURE(Fixture, "rows of other programs: no ids, times of another form") {
  store.database().execute("INSERT INTO sessions(id, persona_id) VALUES ('f', 'alice')");
  store.database().execute(
      "INSERT INTO messages(session_id, role, content, created_at) VALUES ('f', 'user', 'x', '2026-01-01 10:00:00')");
  session::Archives archives;
  int count = 0;
  session::read_messages(store.database(), archives, "f", [&](session::Message& found) {
    ++count;
    CHECK(found.external_id == "");
    CHECK(session::rfc3339_of(found.created) == "2026-01-01T10:00:00.000Z");
  });
  CHECK(count == 1);
  CHECK(session::rfc3339_of("soon") == "soon");
  CHECK(session::rfc3339_of("") == "");
}

TEST_CASE_FIXTURE(Fixture, "a session that is removed takes its messages along, and tells what vectors have to go") {
  std::vector<session::NewMessage> messages;
  for (int i = 0; i < 4000; ++i) messages.push_back(message("m" + std::to_string(i), "some words of a message"));
  put(messages);
  CHECK(one("SELECT count(*) FROM pending_messages") == 4000);
  bool was_there = false;
  CHECK(store.remove_session("s", [&] { was_there = one("SELECT count(*) FROM sessions") == 1; }) == 4000);
  CHECK(was_there);
  CHECK(one("SELECT count(*) FROM sessions") == 0);
  CHECK(one("SELECT count(*) FROM messages_fts_docsize") == 0);
  CHECK(one("SELECT count(*) FROM pending_messages") == 0);
  CHECK(one("SELECT count(*) FROM removed_messages") == 4000);
}

TEST_CASE_FIXTURE(Fixture, "a session of a persona without a number is removed, too") {
  put({message("a", "x"), message("b", "y")});
  store.database().execute("DELETE FROM persona_numbers");
  CHECK(store.remove_session("s", [] {}) == 2);
  CHECK(one("SELECT count(*) FROM sessions") == 0);
}

TEST_CASE_FIXTURE(Fixture, "messages that do not leave are told, not waited for") {
  put({message("a", "x")});
  store.database().execute("CREATE TRIGGER stays BEFORE DELETE ON messages BEGIN SELECT RAISE(IGNORE); END");
  CHECK_THROWS_WITH_AS(store.remove_session("s", [] {}), doctest::Contains("stay"), Error);
}

TEST_CASE_FIXTURE(Fixture, "the full text is made anew from the messages") {
  put({message("a", "the harbour"), message("b", "a pier")});
  store.database().execute("INSERT INTO messages_fts(messages_fts) VALUES ('delete-all')");
  store.database().execute("DELETE FROM persona_numbers");
  CHECK(store.rebuild_words(no_progress()) == 0);
  CHECK(one("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'harbour'") == 1);
  store.database().execute("INSERT INTO messages_fts(messages_fts, rank) VALUES ('integrity-check', 1)");
}
