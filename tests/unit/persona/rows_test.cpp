#include "reef/persona/rows.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "reef/core/error.h"
#include "reef/document/registry.h"
#include "reef/session/archive.h"
#include "reef/session/delete.h"
#include "reef/session/summary.h"
#include "reef/session/verify.h"
#include "support/tree_fixture.h"

using namespace reef;
using persona::Shared;

namespace {

struct Fixture : test::TreeFixture {
  void put(const std::string& persona, const std::string& session, int count, const std::string& word = "harbour",
           int from = 0) {
    session::Store store(tree);
    std::vector<session::NewMessage> messages;
    for (int i = from; i < from + count; ++i) {
      session::NewMessage message;
      message.session = session;
      message.external_id = fmt::format("m{}", i);
      message.role = i % 2 == 0 ? "user" : "assistant";
      message.content = fmt::format("the {} of {} is number{} tonight", word, persona, i);
      message.created = fmt::format("2026-11-01 08:{:02}:{:02}.000", i / 60 % 60, i % 60);
      messages.push_back(message);
    }
    session::PutCounts counts;
    CHECK(store.put(persona, messages, counts).empty());
    store.end_source(counts);
  }
  std::int64_t one(const std::string& sql) {
    auto database = session::read_conversations(tree);
    auto statement = database.prepare(sql);
    REQUIRE(statement.step());
    return statement.integer(0);
  }
  std::int64_t found(const std::string& words) {
    return one("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH '" + words + "'");
  }
  void change(const std::string& sql) { session::open_conversations(tree).execute(sql); }
  /// Every row of the persona, one text.
  std::string rows_of(const std::filesystem::path& file, const std::string& persona) {
    io::Database database(file, io::OpenMode::read);
    auto rows = database.prepare(
        "SELECT s.id || '|' || coalesce(s.title, '-') || '|' || m.id || '|' || m.role || '|' || m.content || '|' || "
        "m.created_at || '|' || m.external_id FROM sessions s JOIN messages m ON m.session_id = s.id "
        "WHERE s.persona_id = ? ORDER BY m.id");
    rows.bind(1, persona);
    std::string all;
    while (rows.step()) all += std::string(rows.text(0)) + "\n";
    return all;
  }
  std::string rows_of(const std::string& persona) { return rows_of(session::conversations_file(tree), persona); }
  void require_sound() {
    const auto report = session::verify(tree, {}, {}, no_progress());
    for (const auto& fault : report.faults) INFO(fault.place, ": ", fault.what);
    REQUIRE(report.faults.empty());
  }
  std::filesystem::path extracted(const std::string& persona, const char* name = "copy.sqlite") {
    persona::extract_rows(session::conversations_file(tree), Shared::conversations, persona, dir / name);
    return dir / name;
  }
  persona::ReplaceReport replace(const std::filesystem::path& copy, const std::string& persona,
                                 const persona::ReplaceOptions& options = {}) {
    return persona::replace_rows(tree, Shared::conversations, copy, persona, options);
  }
};

session::Summary summary_of(std::vector<std::int64_t> messages) {
  return {"a model", "2026-11-02 00:00:00.000", {{"They spoke of a harbour.", std::move(messages), {}}}};
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "an extracted database holds one persona's rows and is sound by itself") {
  put("alice", "a1", 10);
  put("bob", "b1", 10);
  put("alice", "a2", 5);
  const auto copy = extracted("alice");
  CHECK(rows_of(copy, "alice") == rows_of("alice"));
  io::Database database(copy, io::OpenMode::write);
  const auto one = [&](const char* sql) {
    auto statement = database.prepare(sql);
    REQUIRE(statement.step());
    return statement.integer(0);
  };
  CHECK(one("SELECT count(*) FROM sessions") == 2);
  CHECK(one("SELECT count(*) FROM messages") == 15);
  CHECK(one("SELECT count(*) FROM pending_messages") == 15);
  CHECK(one("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'harbour'") == 15);
  CHECK(one("PRAGMA user_version") == session::kConversationsVersion);
  database.execute("PRAGMA trusted_schema = ON");
  database.execute("INSERT INTO messages_fts(messages_fts, rank) VALUES ('integrity-check', 1)");
  CHECK(one("SELECT count(*) FROM pragma_foreign_key_check") == 0);
  CHECK(persona::count_rows(copy, Shared::conversations, "alice") ==
        persona::Counts{{"sessions", 2}, {"messages", 15}});
  CHECK(persona::count_rows(copy, Shared::conversations, "bob") == persona::Counts{{"sessions", 0}, {"messages", 0}});
  CHECK_THROWS_AS(extracted("alice"), Error);  // the file is there
}

TEST_CASE_FIXTURE(Fixture, "whatever happened to a persona's rows, they are as in the copy again") {
  put("alice", "a1", 20);
  put("alice", "a2", 20);
  put("bob", "b1", 20);
  {
    auto database = session::open_conversations(tree);
    REQUIRE(session::put_summary(database, {"a1", 20, "2026-11-01 08:00:19.000"}, summary_of({1, 2})));
  }
  const std::string before = rows_of("alice"), others = rows_of("bob");
  const auto copy = extracted("alice");
  put("bob", "b1", 5, "lighthouse", 20);
  SUBCASE("nothing") { CHECK(replace(copy, "alice").transactions == 0); }
  SUBCASE("messages and a session went, others came, some changed") {
    session::delete_sessions(tree, {{"a1"}, false, false, {}}, no_progress());
    put("alice", "a2", 5, "lighthouse", 20);
    put("alice", "a3", 5, "storm");
    change("UPDATE messages SET content = 'a pier' WHERE session_id = 'a2' AND external_id IN ('m0', 'm1')");
    change("UPDATE messages SET tokens = 7 WHERE session_id = 'a2' AND external_id = 'm2'");
    change("UPDATE sessions SET title = 'another' WHERE id = 'a2'");
    const auto report = replace(copy, "alice");
    CHECK(report.came == 20 + 1 + 3 + 1);
    CHECK(report.went == 10 + 1);
    CHECK(report.transactions == 1);
  }
  SUBCASE("all of it is gone") {
    session::delete_sessions(tree, {{"a1", "a2"}, false, false, {}}, no_progress());
    CHECK(replace(copy, "alice").came == 42);
  }
  SUBCASE("the same messages came again under other numbers") {
    session::delete_sessions(tree, {{"a1", "a2"}, false, false, {}}, no_progress());
    put("alice", "a2", 20);
    put("alice", "a1", 20);
    persona::ReplaceOptions options;
    SUBCASE("at once") {}
    SUBCASE("in pieces") {
      options.longest = {};
      options.rows_at_once = 3;
    }
    CHECK(replace(copy, "alice", options).rows == 42);
  }
  SUBCASE("names were swapped") {
    change("UPDATE messages SET external_id = 'x' WHERE id = 1");
    change("UPDATE messages SET external_id = 'm0' WHERE id = 20");
    change("UPDATE messages SET external_id = 'm19' WHERE id = 1");
    persona::ReplaceOptions options;
    options.longest = {};
    options.rows_at_once = 1;
    CHECK(replace(copy, "alice", options).came == 2);
  }
  CHECK((rows_of("alice") == before));
  CHECK(found("harbour alice") == 40);
  CHECK(found("lighthouse OR storm OR pier") == 5);
  CHECK(rows_of("bob").starts_with(others));
  auto database = session::read_conversations(tree);
  const auto summary = session::read_summary(database, "a1");
  REQUIRE(summary);
  CHECK(summary->sentences.at(0).messages == std::vector<std::int64_t>{1, 2});
  require_sound();
  CHECK(replace(copy, "alice").transactions == 0);
}

TEST_CASE_FIXTURE(Fixture, "what the vectors do not know is told, or comes with them") {
  put("alice", "a1", 10);
  change("DELETE FROM pending_messages WHERE message <= 6");
  const auto copy = extracted("alice");
  change("DELETE FROM pending_messages");
  change("DELETE FROM messages WHERE id = 3");
  put("alice", "a1", 2, "storm", 10);
  change("DELETE FROM pending_messages");
  SUBCASE("they stay") {
    replace(copy, "alice");
    CHECK(one("SELECT group_concat(message) = '3' FROM pending_messages") == 1);
    CHECK(one("SELECT group_concat(message) = '11,12' FROM removed_messages") == 1);
  }
  SUBCASE("they come") {
    persona::ReplaceOptions options;
    options.turns_come_too = true;
    CHECK(replace(copy, "alice", options).transactions == 1);
    CHECK(one("SELECT group_concat(message) = '7,8,9,10' FROM pending_messages") == 1);
    CHECK(replace(copy, "alice", options).transactions == 0);
  }
}

TEST_CASE_FIXTURE(Fixture, "ids that others have by now are refused, and nothing is changed") {
  put("alice", "a1", 5);
  put("alice", "a2", 5);
  const auto copy = extracted("alice");
  session::delete_sessions(tree, {{"a1"}, false, false, {}}, no_progress());
  put("bob", "a1", 3, "lighthouse");
  try {
    replace(copy, "alice");
    FAIL("was not refused");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::usage);
    CHECK(std::string(error.what()).find("'a1' (bob)") != std::string::npos);
  }
  change("DELETE FROM messages WHERE session_id = 'a1'");
  change("DELETE FROM sessions WHERE id = 'a1'");
  change("INSERT INTO sessions(id, persona_id) VALUES ('b2', 'bob')");
  change("INSERT INTO messages(id, session_id, role, content) VALUES (2, 'b2', 'user', 'a lighthouse')");
  try {
    replace(copy, "alice");
    FAIL("was not refused");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("(such as bob's)") != std::string::npos);
  }
  CHECK(found("lighthouse") == 1);
  CHECK(found("harbour") == 5);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "archived messages keep their words, whichever side is archived") {
  put("alice", "a1", 5);
  put("alice", "a2", 5, "storm");
  const auto archive = dir / "archive";
  std::filesystem::create_directory(archive);
  std::ofstream(tree.config("system.yaml")) << "storage: {archive: " << archive << "}\n";
  session::ArchiveOptions options;
  options.sessions = {"a1"};
  const auto plain = extracted("alice", "plain.sqlite");
  const std::string before = rows_of("alice");
  const auto config = tree::Config::load(tree);
  session::archive_sessions(tree, config, options, no_progress());
  const auto archived = extracted("alice", "archived.sqlite");
  CHECK(one("SELECT count(*) FROM messages WHERE archive_offset IS NOT NULL") == 5);
  SUBCASE("the copy is older than the archive") {
    CHECK(replace(plain, "alice").came == 6);
    CHECK((rows_of("alice") == before));
    CHECK(found("harbour") == 5);
    CHECK(one("SELECT count(*) FROM sessions WHERE archive_file IS NOT NULL") == 0);
    std::filesystem::remove_all(archive);
  }
  SUBCASE("its rows are lost") {
    change("DELETE FROM messages WHERE session_id = 'a2'");
    change("DELETE FROM messages WHERE session_id = 'a1'");  // whose words stay behind
    change("DELETE FROM sessions");
    replace(archived, "alice");
    CHECK(found("harbour") == 5);
    CHECK(found("storm") == 5);
  }
  SUBCASE("the archive is not there") {
    std::filesystem::rename(archive, dir / "elsewhere");
    CHECK_THROWS_AS(replace(plain, "alice"), Error);
    CHECK(one("SELECT count(*) FROM messages WHERE archive_offset IS NOT NULL") == 5);
    std::filesystem::rename(dir / "elsewhere", archive);
  }
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a damaged or newer copy changes nothing, an older one is brought up to date") {
  put("alice", "a1", 200);
  const auto copy = extracted("alice");
  SUBCASE("newer") {
    io::Database(copy, io::OpenMode::write).execute("PRAGMA user_version = 99");
    CHECK_THROWS_AS(replace(copy, "alice"), Error);
  }
  SUBCASE("damaged") {
    std::fstream file(copy, std::ios::in | std::ios::out | std::ios::binary);
    for (int page = 2; page < 12; ++page) file.seekp(page * 16384 + 3).write("\xff\xff\xff\xff\xff\xff", 6);
    file.close();
    try {
      replace(copy, "alice");
      FAIL("was not refused");
    } catch (const Error& error) {
      CHECK(error.code() == Errc::corrupt);
    }
  }
  SUBCASE("by the documented schema alone") {
    const auto old = dir / "old.sqlite";
    {
      io::Database database(old, io::OpenMode::create);
      database.execute(
          "CREATE TABLE sessions (id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, created_at TIMESTAMP, updated_at "
          "TIMESTAMP, title TEXT, summary TEXT);"
          "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT REFERENCES sessions(id), role "
          "TEXT NOT NULL, content TEXT NOT NULL, created_at TIMESTAMP, tokens INTEGER, metadata JSON);"
          "INSERT INTO sessions(id, persona_id) VALUES ('a9', 'alice'), ('b9', 'bob');"
          "INSERT INTO messages(session_id, role, content) VALUES ('a9', 'user', 'the pier'), ('b9', 'user', 'a "
          "reef')");
    }
    persona::extract_rows(old, Shared::conversations, "alice", dir / "new.sqlite");
    CHECK(persona::count_rows(dir / "new.sqlite", Shared::conversations, "alice") ==
          persona::Counts{{"sessions", 1}, {"messages", 1}});
    CHECK(replace(old, "alice").rows == 2);
    CHECK(found("pier") == 1);
    CHECK(found("reef OR harbour") == 0);
  }
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "sources of a scope are replaced, those of others stay") {
  const auto source = [](const tree::Scope& scope, const std::string& path, const std::string& digest) {
    document::Source row;
    row.scope = scope;
    row.path = path;
    row.sha256 = digest;
    row.format = "text";
    row.extension = ".txt";
    row.state = document::SourceState::done;
    row.documents = 1;
    row.first_seen = row.last_seen = "2026-11-01 00:00:00.000";
    return row;
  };
  const auto alice = tree::Scope::persona("alice"), bob = tree::Scope::persona("bob");
  document::Registry registry(tree.registry(), tree.documents() / "staging");
  for (int i = 0; i < 50; ++i) {
    auto one = source(alice, fmt::format("/in/{}", i), fmt::format("{:064}", i));
    auto other = source(bob, fmt::format("/in/{}", i), fmt::format("{:064}", i));
    registry.save(one);
    registry.save(other);
  }
  const auto copy = dir / "copy.sqlite";
  persona::extract_rows(tree.registry(), Shared::documents, "alice", copy);
  CHECK(persona::count_rows(copy, Shared::documents, "alice") == persona::Counts{{"sources", 50}});
  for (const auto& row : registry.list(alice))
    if (row.id % 3 == 0) registry.erase(row.id);
  for (int i = 0; i < 10; ++i) {  // whose ids were the persona's
    auto other = source(bob, fmt::format("/more/{}", i), "");
    registry.save(other);
  }
  auto another = source(alice, "/in/0", "changed"), more = source(alice, "/in/more", "");
  registry.save(another);
  registry.save(more);
  persona::ReplaceOptions options;
  SUBCASE("at once") {}
  SUBCASE("in pieces") {
    options.longest = {};
    options.rows_at_once = 1;
  }
  const auto report = persona::replace_rows(tree, Shared::documents, copy, "alice", options);
  CHECK(report.rows == 50);
  CHECK(report.went == 1);
  CHECK(registry.list(bob).size() == 60);
  const auto rows = registry.list(alice);
  REQUIRE(rows.size() == 50);
  CHECK(rows.front().sha256 == fmt::format("{:064}", 0));
  CHECK(persona::replace_rows(tree, Shared::documents, copy, "alice").transactions == 0);
}

TEST_CASE_FIXTURE(Fixture, "another persona's writer goes on while rows are replaced") {
  constexpr int kSessions = 40;
  for (int i = 0; i < kSessions; ++i) put("alice", fmt::format("a{}", i), 100);
  const auto copy = extracted("alice");
  const std::string before = rows_of("alice");
  std::vector<std::string> sessions;
  for (int i = 0; i < kSessions; i += 2) sessions.push_back(fmt::format("a{}", i));
  session::delete_sessions(tree, {sessions, false, false, {}}, no_progress());
  std::atomic<bool> ended = false;
  std::atomic<int> failures = 0;
  std::vector<std::int64_t> written;
  std::thread writer([&] {
    io::Database database(session::conversations_file(tree), io::OpenMode::write);
    database.execute("PRAGMA trusted_schema = ON; INSERT INTO sessions(id, persona_id) VALUES ('b1', 'bob')");
    auto insert =
        database.prepare("INSERT INTO messages(session_id, role, content) VALUES ('b1', 'user', 'a lighthouse')");
    while (!ended) {
      try {
        insert.run();
        written.push_back(database.last_insert_rowid());
      } catch (const Error&) {
        ++failures;
      }
    }
  });
  for (int round = 0; round < 5; ++round) {
    persona::ReplaceOptions options;
    if (round == 3) {
      options.longest = {};
      options.rows_at_once = 100;
    }
    replace(copy, "alice", options);
    if (round < 4) change("DELETE FROM messages WHERE session_id IN ('a1', 'a2')");
  }
  ended = true;
  writer.join();
  CHECK(failures == 0);
  CHECK(written.size() > 10);
  CHECK(found("lighthouse") == static_cast<std::int64_t>(written.size()));
  for (const std::int64_t id : written)
    REQUIRE(one(fmt::format("SELECT count(*) FROM messages WHERE id = {} AND session_id = 'b1'", id)) == 1);
  CHECK((rows_of("alice") == before));
  CHECK(found("harbour") == kSessions * 100);
  require_sound();
}
