#include "reef/io/sqlite.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"
#include "unit/io/child.h"

namespace reef::io {
namespace {

template <typename Body>
Error error_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e;
  }
  FAIL("did not throw");
  return {Errc::failed, ""};
}

std::string one(Database& database, const std::string& sql) {
  Statement query = database.prepare(sql);
  REQUIRE(query.step());
  return std::string(query.text(0));
}

Database sample(const fs::path& path) {
  Database database(path, OpenMode::create);
  database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
  return database;
}

TEST_CASE("a connection is set up as reef wants it") {
  const test::TempDir dir;
  const mode_t before = ::umask(077);
  Database database = sample(dir / "a.sqlite");
  ::umask(before);
  CHECK(one(database, "PRAGMA journal_mode") == "wal");
  CHECK(one(database, "PRAGMA foreign_keys") == "1");
  CHECK(one(database, "PRAGMA secure_delete") == "1");
  CHECK(one(database, "PRAGMA mmap_size") == "0");
  CHECK(one(database, "PRAGMA trusted_schema") == "0");
  CHECK_THROWS_AS(database.execute("SELECT \"text\""), Error);  // a name, never a string
  for (const char* name : {"a.sqlite", "a.sqlite-wal", "a.sqlite-shm"}) {
    CAPTURE(name);
    struct stat status {};
    REQUIRE(::stat((dir / name).c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0640);
  }
}

TEST_CASE("values of every type come back") {
  const test::TempDir dir;
  Database database = sample(dir / "a.sqlite");
  const std::array<std::uint8_t, 3> bytes = {0, 1, 255};
  Statement insert = database.prepare("INSERT INTO t(a) VALUES(?)");
  insert.bind(1, std::int64_t{1} << 40).run();
  insert.bind(1, 7).run();
  insert.bind(1, 0.5).run();
  insert.bind(1, "text").run();
  insert.bind(1, std::string_view("with\0null", 9)).run();
  insert.bind(1, std::string_view{}).run();
  insert.bind_blob(1, bytes).run();
  insert.bind_blob(1, {}).run();
  insert.bind_null(1).run();
  CHECK(database.last_insert_rowid() == 9);
  CHECK(database.changes() == 1);

  Statement query = database.prepare("SELECT a, typeof(a) FROM t ORDER BY id");
  const auto next = [&](const char* type) {
    REQUIRE(query.step());
    CHECK(query.text(1) == type);
  };
  next("integer");
  CHECK(query.integer(0) == std::int64_t{1} << 40);
  next("integer");
  next("real");
  CHECK(query.real(0) == 0.5);
  next("text");
  CHECK(query.text(0) == "text");
  next("text");
  CHECK(query.text(0) == std::string_view("with\0null", 9));
  next("text");
  CHECK_FALSE(query.is_null(0));
  next("blob");
  CHECK(std::equal(bytes.begin(), bytes.end(), query.blob(0).begin(), query.blob(0).end()));
  next("blob");
  CHECK(query.blob(0).empty());
  next("null");
  CHECK(query.is_null(0));
  CHECK_FALSE(query.step());
  CHECK(query.reset().step());
}

TEST_CASE("mistakes name the file and the statement") {
  const test::TempDir dir;
  Database database = sample(dir / "a.sqlite");
  const std::string message = error_of([&] { database.prepare("SELECT nothing FROM nowhere"); }).what();
  CHECK(message.find("nowhere") != std::string::npos);
  CHECK(message.find("a.sqlite") != std::string::npos);
  CHECK_THROWS_WITH_AS(database.prepare("SELECT 1; SELECT 2"), doctest::Contains("exactly one"), Error);
  CHECK_THROWS_WITH_AS(database.prepare(""), doctest::Contains("exactly one"), Error);
  CHECK_NOTHROW(database.prepare("SELECT 1; \n"));
  Statement insert = database.prepare("INSERT INTO t(id) VALUES(?)");
  CHECK_THROWS_WITH_AS(insert.bind(2, 1), doctest::Contains("range"), Error);
  insert.bind(1, 1).run();
  CHECK_THROWS_WITH_AS(insert.bind(1, 1).run(), doctest::Contains("UNIQUE"), Error);
  CHECK_NOTHROW(insert.bind(1, 2).run());  // the statement is whole again
}

TEST_CASE("modes decide whether a file may be absent") {
  const test::TempDir dir;
  CHECK(error_of([&] { Database(dir / "a", OpenMode::read); }).code() == Errc::not_found);
  CHECK(error_of([&] { Database(dir / "a", OpenMode::write); }).code() == Errc::not_found);
  CHECK(error_of([&] { Database(dir / "absent" / "a", OpenMode::create); }).code() == Errc::not_found);
  CHECK_FALSE(fs::exists(dir / "a"));
  CHECK_FALSE(static_cast<bool>(Database()));
  sample(dir / "a");
  Database reader(dir / "a", OpenMode::read);
  CHECK(error_of([&] { reader.execute("INSERT INTO t(a) VALUES(1)"); }).code() == Errc::failed);
  CHECK_NOTHROW(Database(dir / "a", OpenMode::create));
  const Database odd(dir / "file:a?mode=memory#%41 b", OpenMode::create);  // a name, not a URI
  CHECK(fs::exists(dir / "file:a?mode=memory#%41 b"));
}

TEST_CASE("damage is told from other failures") {
  const test::TempDir dir;
  replace_file(dir / "text", std::string(4096, 'x'));
  for (const OpenMode mode : {OpenMode::read, OpenMode::write, OpenMode::create}) {
    const Error error = error_of([&] { Database(dir / "text", mode); });
    CHECK(error.code() == Errc::corrupt);
    CHECK(std::string(error.what()).find("text is damaged") != std::string::npos);
    CHECK(error.hint() == "restore it from a backup");  // not the command that may just have said so
  }
  CHECK(error_of([&] { Database(dir.path(), OpenMode::read); }).code() == Errc::failed);
}

TEST_CASE("integrity finds a page that was overwritten") {
  const test::TempDir dir;
  {
    Database database = sample(dir / "a");
    Transaction transaction(database);
    Statement insert = database.prepare("INSERT INTO t(a) VALUES(?)");
    for (int i = 0; i < 2000; ++i) insert.bind(1, std::string(100, 'x') + std::to_string(i)).run();
    transaction.commit();
    CHECK(database.integrity().empty());
    CHECK(database.integrity(true).empty());
    database.checkpoint();
    CHECK(file_size(open_file(dir / "a-wal", 0).get(), "") == 0);
  }
  const UniqueFd fd = open_file(dir / "a", 2);
  pwrite_all(fd.get(), std::string(16384, '\x5a'), 16384 * 5, dir / "a");
  Database damaged(dir / "a", OpenMode::read);
  CHECK_FALSE(damaged.integrity().empty());
  CHECK_FALSE(damaged.integrity(true).empty());
  const Error error = error_of([&] {
    Statement all = damaged.prepare("SELECT sum(length(a)) FROM t");
    while (all.step()) {
    }
  });
  CHECK(error.code() == Errc::corrupt);
}

TEST_CASE("a damaged database is made empty in its place, and who has it open goes on with it") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  Database other = sample(path);
  struct stat before {
  }, after{};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  SUBCASE("sound") {}
  SUBCASE("behind its first page") {
    other.checkpoint();
    pwrite_all(open_file(path, O_WRONLY).get(), std::string(5000, 'x'), 16384, path);
  }
  SUBCASE("its first page") {
    other = {};
    pwrite_all(open_file(path, O_WRONLY).get(), std::string(5000, 'x'), 0, path);
  }
  SUBCASE("no database, of an odd size") {
    other = {};
    replace_file(path, std::string(5001, 'x'));
    REQUIRE(::stat(path.c_str(), &before) == 0);
  }
  empty_database(path);
  REQUIRE(::stat(path.c_str(), &after) == 0);
  CHECK(before.st_ino == after.st_ino);
  Database made(path, OpenMode::write);
  CHECK(one(made, "SELECT count(*) FROM sqlite_schema") == "0");
  CHECK(one(made, "PRAGMA journal_mode") == "wal");
  made.execute("CREATE TABLE anew (x TEXT) STRICT");
  if (other) CHECK(one(other, "SELECT name FROM sqlite_schema") == "anew");
  CHECK(made.integrity().empty());
  CHECK(error_of([&] { empty_database(dir / "absent"); }).code() == Errc::failed);
}

TEST_CASE("a transaction rolls back unless it was committed") {
  const test::TempDir dir;
  Database database = sample(dir / "a");
  {
    Transaction transaction(database);
    database.execute("INSERT INTO t(a) VALUES(1)");
  }
  CHECK(one(database, "SELECT count(*) FROM t") == "0");
  {
    Transaction transaction(database);
    database.execute("INSERT INTO t(a) VALUES(1)");
    transaction.commit();
  }
  CHECK(one(database, "SELECT count(*) FROM t") == "1");
  {
    Transaction transaction(database);
    database.execute("ROLLBACK");  // as a full disk does on its own
  }
  Transaction outer(database);
  CHECK_THROWS_AS(Transaction{database}, Error);
  outer.commit();
}

TEST_CASE("a read transaction sees one state from its beginning") {
  const test::TempDir dir;
  Database writer = sample(dir / "a");
  Database reader(dir / "a", OpenMode::read);
  {
    const Transaction snapshot(reader, Transaction::Kind::read);
    writer.execute("INSERT INTO t(a) VALUES(1)");
    CHECK(one(reader, "SELECT count(*) FROM t") == "0");
  }
  CHECK(one(reader, "SELECT count(*) FROM t") == "1");
}

TEST_CASE("a busy database is waited for, and a signal ends the wait") {
  const test::TempDir dir;
  Database holder = sample(dir / "a");
  Database other(dir / "a", OpenMode::write);
  {
    Transaction held(holder);
    std::jthread commit_soon([&held, waiter = ::gettid()] {
      test::wait_until([waiter] { return test::is_asleep(waiter); });
      held.commit();
    });
    CHECK_NOTHROW(Transaction{other});
  }
  {
    const Transaction held(holder);
    pending_signal = SIGINT;
    CHECK(error_of([&] { Transaction{other}; }).code() == Errc::interrupted);
    pending_signal = 0;
    other.execute("PRAGMA busy_timeout = 0");
    CHECK(error_of([&] { Transaction{other}; }).code() == Errc::locked);
  }
}

TEST_CASE("a signal ends a long statement") {
  const test::TempDir dir;
  Database database = sample(dir / "a");
  pending_signal = SIGTERM;
  const Error error = error_of([&] {
    database.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n");
  });
  pending_signal = 0;
  CHECK(error.code() == Errc::interrupted);
}

TEST_CASE("migrations run once, in order, each whole or not at all") {
  const test::TempDir dir;
  Database database(dir / "a", OpenMode::create);
  const std::array first = {"CREATE TABLE a(x)"};
  const std::array both = {"CREATE TABLE a(x)", "CREATE TABLE b(x); INSERT INTO a VALUES(1)"};
  const std::array wrong = {both[0], both[1], "CREATE TABLE c(x); INSERT INTO nowhere VALUES(1)"};
  migrate(database, first);
  migrate(database, both);
  migrate(database, both);
  CHECK(one(database, "PRAGMA user_version") == "2");
  CHECK(one(database, "SELECT count(*) FROM a") == "1");
  CHECK_THROWS_AS(migrate(database, wrong), Error);
  CHECK(one(database, "SELECT count(*) FROM sqlite_schema") == "2");
  CHECK(error_of([&] { migrate(database, first); }).code() == Errc::usage);

  CHECK_NOTHROW(require_version(database, 2));
  CHECK_THROWS_WITH_AS(require_version(database, 1), doctest::Contains("knows versions up to 1"), Error);
  CHECK_THROWS_WITH_AS(require_version(database, 3), doctest::Contains("reads version 3"), Error);
}

TEST_CASE("two processes migrate at once") {
  const test::TempDir dir;
  const std::array migrations = {"CREATE TABLE a(x)", "CREATE TABLE b(x)", "CREATE TABLE c(x)"};
  const auto body = [&] {
    Database database(dir / "a", OpenMode::create);
    migrate(database, migrations);
    return 0;
  };
  std::array<pid_t, 4> children{};
  for (auto& child : children) child = test::start_child(body);
  for (const pid_t child : children) CHECK(test::wait_child(child) == 0);
  Database database(dir / "a", OpenMode::read);
  CHECK_NOTHROW(require_version(database, 3));
}

}  // namespace
}  // namespace reef::io
