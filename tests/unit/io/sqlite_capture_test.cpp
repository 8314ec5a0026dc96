#include "reef/io/sqlite_capture.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/row_counter.h"
#include "support/temp_dir.h"
#include "unit/io/child.h"
#include "unit/io/small_disk.h"

namespace reef::io {
namespace {

using std::chrono::milliseconds;
using test::RowCounter;

std::string bytes_of(const SqliteCapture& capture, std::size_t at_once = 1 << 20) {
  std::string bytes(capture.size_bytes(), '\0');
  for (std::size_t at = 0; at < bytes.size(); at += at_once)
    capture.read(at, {reinterpret_cast<std::uint8_t*>(bytes.data()) + at, std::min(at_once, bytes.size() - at)});
  return bytes;
}

/// What a restored copy would be.
fs::path write_copy(const SqliteCapture& capture, const fs::path& to) {
  replace_file(to, bytes_of(capture));
  return to;
}

std::int64_t number(Database& database, const std::string& sql) {
  Statement query = database.prepare(sql);
  REQUIRE(query.step());
  return query.integer(0);
}

std::int64_t number_in_copy(const SqliteCapture& capture, const fs::path& to, const std::string& sql) {
  Database copy(write_copy(capture, to), OpenMode::write);
  CHECK(copy.integrity() == "");
  return number(copy, sql);
}

bool has_log(const fs::path& path) { return fs::exists(path.native() + "-wal") || fs::exists(path.native() + "-shm"); }

constexpr const char* kThree = "CREATE TABLE t(a); INSERT INTO t VALUES(1),(2),(3)";
constexpr const char* kCount = "SELECT count(*) FROM t";

TEST_CASE("a database that nobody has open is read as it lies, and nothing is left beside it") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  { Database(path, OpenMode::create).execute(kThree); }
  const SqliteCapture before(path);  // waits until the last change is old enough to be told from the next one
  CHECK(before.descriptor() >= 0);
  SqliteCapture capture(path);
  CHECK(bytes_of(capture) == read_file(path));
  CHECK(number(capture.database(), kCount) == 3);
  CHECK(capture.still_holds());
  CHECK_FALSE(has_log(path));
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("a change of such a database while it is read is told") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  { Database(path, OpenMode::create).execute(kThree); }
  const SqliteCapture capture(path);
  REQUIRE(capture.descriptor() >= 0);
  Database writer(path, OpenMode::write);
  writer.execute("INSERT INTO t VALUES(4)");
  CHECK(capture.still_holds());  // it is in the log so far
  REQUIRE(writer.checkpoint());
  CHECK_FALSE(capture.still_holds());
}

TEST_CASE("what stands in the log alone is in the capture, and the copy needs no log") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  Database writer(path, OpenMode::create);
  writer.execute(kThree);
  const SqliteCapture capture(path);
  CHECK(capture.descriptor() == -1);
  CHECK(number_in_copy(capture, dir / "copy", kCount) == 3);
}

TEST_CASE("a capture holds what its queries see, and nothing that is committed later") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  Database writer(path, OpenMode::create);
  writer.execute(kThree);
  SUBCASE("where all of it is in the log") {}
  SUBCASE("where a part of the log is in the file") {
    writer.execute("PRAGMA wal_checkpoint(PASSIVE)");
    writer.execute("INSERT INTO t VALUES(3.5); DELETE FROM t WHERE a=3.5");
  }
  SUBCASE("where all of the log is in the file") { writer.execute("PRAGMA wal_checkpoint(PASSIVE)"); }
  SUBCASE("where the log is empty") { REQUIRE(writer.checkpoint()); }
  SqliteCapture capture(path);
  for (int i = 0; i < 50; ++i) {
    writer.execute("INSERT INTO t VALUES(zeroblob(20000))");
    writer.execute("PRAGMA wal_checkpoint(PASSIVE)");
  }
  CHECK(number(capture.database(), kCount) == 3);
  CHECK(number_in_copy(capture, dir / "copy", kCount) == 3);
  CHECK(number(writer, kCount) == 53);
}

TEST_CASE("any piece of a capture is that piece of the whole, also by several threads") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  Database writer(path, OpenMode::create);
  writer.execute("PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a)");
  for (int i = 0; i < 60; ++i) {
    writer.execute("INSERT INTO t VALUES(randomblob(9000))");
    if (i == 30) writer.execute("PRAGMA wal_checkpoint(PASSIVE)");
  }
  writer.execute("UPDATE t SET a=randomblob(9000) WHERE rowid%7=0");
  const SqliteCapture capture(path);
  const std::string whole = bytes_of(capture);
  REQUIRE(whole.size() > 500'000);
  CHECK(bytes_of(capture, 4096) == whole);
  CHECK(bytes_of(capture, 70'001) == whole);
  std::vector<std::thread> threads;
  std::vector<std::string> read(4);
  for (std::size_t i = 0; i < read.size(); ++i)
    threads.emplace_back([&, i] { read[i] = bytes_of(capture, 1000 + i * 12'345); });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& bytes : read) CHECK_UNARY(bytes == whole);
}

TEST_CASE("pages of any size are captured") {
  const test::TempDir dir;
  for (const int size : {512, 1024, 4096, 65536}) {
    const fs::path path = dir / (std::to_string(size) + ".sqlite");
    RowCounter::make(path, "PRAGMA page_size=" + std::to_string(size) + "; PRAGMA journal_mode=WAL", 40);
    Database writer(path, OpenMode::write);
    writer.execute(
        "INSERT INTO message(body) VALUES('one more'); INSERT INTO log VALUES(0, ''); UPDATE counter SET n=n+1");
    const SqliteCapture capture(path);
    CHECK(RowCounter::fault(write_copy(capture, dir / "copy")) == "");
    fs::remove(dir / "copy");
  }
}

TEST_CASE("a database that a VACUUM makes smaller is captured at the size that the commit has") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  Database writer(path, OpenMode::create);
  writer.execute("CREATE TABLE t(a)");
  for (int i = 0; i < 40; ++i) writer.execute("INSERT INTO t VALUES(randomblob(16000))");
  REQUIRE(writer.checkpoint());
  writer.execute("DELETE FROM t WHERE rowid > 3");
  SqliteCapture large(path);
  writer.execute("VACUUM");
  SqliteCapture small(path);
  CHECK(small.size_bytes() < large.size_bytes() / 4);
  CHECK(number_in_copy(large, dir / "large", kCount) == 3);
  CHECK(number_in_copy(small, dir / "small", kCount) == 3);
}

TEST_CASE("captures under a writer without pause are sound and of one commit, and the writer never waits") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  RowCounter::make(path, "PRAGMA journal_mode=WAL", 1000);
  test::RowWriter writer(path);
  const auto end = std::chrono::steady_clock::now() + milliseconds(1500);
  int captures = 0;
  for (; std::chrono::steady_clock::now() < end; ++captures) {
    SqliteCapture capture(path);
    const fs::path copy = write_copy(capture, dir / "copy");
    CHECK(RowCounter::fault(copy) == "");
    Database opened(copy, OpenMode::read);
    CHECK(number(opened, "SELECT n FROM counter") == number(capture.database(), "SELECT n FROM counter"));
    fs::remove(copy);
  }
  writer.stop();
  CHECK(captures > 5);
  CHECK(writer.commits() > 20);
  CHECK(writer.failures() == 0);
}

TEST_CASE("a database with a rollback journal is copied, and its writer goes on at once") {
  const test::TempDir dir;
  const fs::path path = dir / "a.db";
  RowCounter::make(path, "PRAGMA journal_mode=DELETE", 300);
  SqliteCapture capture(path, {milliseconds(0), dir.path()});
  const std::string whole = read_file(path);
  RowCounter::make(dir / "other.db", "", 1);
  sqlite3* db = nullptr;
  REQUIRE(::sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  RowCounter::execute(db, "DELETE FROM message");
  CHECK(bytes_of(capture) == whole);
  CHECK(number(capture.database(), "SELECT count(*) FROM message") == 300);
  CHECK(capture.descriptor() >= 0);
  ::sqlite3_close(db);
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 2);  // the copy has no name
}

TEST_CASE("where there is no room for such a copy, the writer waits until the database is read") {
  const test::TempDir dir;
  const fs::path path = dir / "a.db";
  RowCounter::make(path, "PRAGMA journal_mode=DELETE", 300);
  sqlite3* db = nullptr;
  REQUIRE(::sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  {
    const SqliteCapture capture(path, {milliseconds(0), dir / "absent", true});
    CHECK(::sqlite3_exec(db, "DELETE FROM message", nullptr, nullptr, nullptr) == SQLITE_BUSY);
    CHECK(bytes_of(capture) == read_file(path));
  }
  RowCounter::execute(db, "DELETE FROM message");
  ::sqlite3_close(db);
}

TEST_CASE("a transaction that a killed writer left half done is not in the capture") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  std::string mode;
  SUBCASE("with a rollback journal") { mode = "PRAGMA journal_mode=DELETE"; }
  SUBCASE("with a log") { mode = "PRAGMA journal_mode=WAL"; }
  RowCounter::make(path, mode, 300);
  test::run_child([&] {
    sqlite3* db = nullptr;
    ::sqlite3_open(path.c_str(), &db);
    RowCounter::execute(db,
                        "PRAGMA cache_size=1; INSERT INTO message(body) VALUES('a'); INSERT INTO log VALUES(1, '');"
                        "UPDATE counter SET n=n+1; BEGIN; UPDATE message SET body=hex(randomblob(500))");
    ::_exit(0);
    return 0;
  });
  SqliteCapture capture(path, {milliseconds(0), dir.path()});
  CHECK(number(capture.database(), "SELECT n FROM counter") == 301);
  CHECK(RowCounter::fault(write_copy(capture, dir / "copy")) == "");
}

TEST_CASE("a database that another process keeps locked is named as locked, after the time to wait") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  std::string mode;
  SUBCASE("with a rollback journal") { mode = "PRAGMA journal_mode=DELETE"; }
  SUBCASE("with a log") { mode = "PRAGMA journal_mode=WAL"; }
  RowCounter::make(path, mode, 3);
  const pid_t holder = test::start_child([&] {
    sqlite3* db = nullptr;
    ::sqlite3_open(path.c_str(), &db);
    RowCounter::execute(db, "PRAGMA locking_mode=EXCLUSIVE; UPDATE counter SET n=n+1; BEGIN EXCLUSIVE");
    replace_file(dir / "held", "");
    ::pause();
    return 0;
  });
  REQUIRE(test::wait_until([&] { return fs::exists(dir / "held"); }));
  const auto begun = std::chrono::steady_clock::now();
  try {
    const SqliteCapture capture(path, {milliseconds(50), dir.path()});
    CHECK_UNARY(false);
  } catch (const Error& error) {
    CHECK(error.code() == Errc::locked);
    CHECK(std::string(error.what()).find("a.sqlite") != std::string::npos);
  }
  CHECK(std::chrono::steady_clock::now() - begun >= milliseconds(50));
  ::kill(holder, SIGKILL);
  test::wait_child(holder);
}

Errc code_of(const fs::path& path) {
  try {
    const SqliteCapture capture(path, {milliseconds(0), path.parent_path()});
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find(path.filename().string()) != std::string::npos);
    return error.code();
  }
  return Errc::usage;  // never thrown
}

TEST_CASE("files that are no databases, and damaged ones, are told") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  CHECK(code_of(path) == Errc::not_found);
  CHECK(code_of(dir / "no-folder" / "a.sqlite") == Errc::not_found);
  replace_file(path, std::string(5000, 'x'));
  CHECK(code_of(path) == Errc::corrupt);
  RowCounter::make(dir / "whole.sqlite", "PRAGMA journal_mode=WAL", 300);
  const std::string whole = read_file(dir / "whole.sqlite");
  replace_file(path, whole.substr(0, whole.size() - 4096));  // cut
  CHECK(code_of(path) == Errc::corrupt);
  {  // the same while it is open
    const UniqueFd log = open_file(path.native() + "-shm", O_RDWR | O_CREAT | O_CLOEXEC);
    CHECK(code_of(path) == Errc::corrupt);
  }
  std::string zeros = whole;
  std::fill_n(zeros.begin() + 100, 4000, '\0');  // its schema
  replace_file(path, zeros);
  CHECK(code_of(path) == Errc::corrupt);
  fs::create_symlink("whole.sqlite", dir / "link.sqlite");
  CHECK(code_of(dir / "link.sqlite") == Errc::failed);
  fs::create_directory(dir / "folder.sqlite");
  CHECK(code_of(dir / "folder.sqlite") == Errc::failed);
}

TEST_CASE("an empty file is an empty database") {
  const test::TempDir dir;
  replace_file(dir / "a.sqlite", "");
  const SqliteCapture capture(dir / "a.sqlite", {milliseconds(0), dir.path()});
  CHECK(capture.size_bytes() == 0);
  CHECK(capture.still_holds());
}

TEST_CASE("a byte that is wrong anywhere in the part of a log that counts is found") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  RowCounter::make(path, "PRAGMA page_size=512; PRAGMA journal_mode=WAL", 3);
  Database writer(path, OpenMode::write);
  writer.execute("UPDATE counter SET n=n+1");
  const fs::path log = path.native() + "-wal";
  const std::string sound = read_file(log);
  REQUIRE(sound.size() > 500);
  REQUIRE(sound.size() < 3000);
  const std::string original = bytes_of(SqliteCapture(path));
  const UniqueFd fd = open_file(log, O_RDWR | O_CLOEXEC);
  for (std::size_t i = 0; i < sound.size(); ++i) {
    pwrite_all(fd.get(), std::string(1, static_cast<char>(sound[i] ^ 0x10)), i, log);
    CHECK_THROWS_WITH_AS(SqliteCapture{path}, doctest::Contains("log"), Error);
    pwrite_all(fd.get(), sound.substr(i, 1), i, log);
  }
  CHECK_UNARY(bytes_of(SqliteCapture(path)) == original);
}

TEST_CASE("a log that cannot be opened on a read-only filesystem is laid over its database") {
  const test::SmallDisk disk(8 << 20);
  if (!disk.mounted()) return;
  const test::TempDir scratch;
  const fs::path path = disk.path() / "a.sqlite";
  RowCounter::make(path, "PRAGMA journal_mode=WAL", 100);
  test::run_child([&] {
    Database database(path, OpenMode::write);
    database.execute("INSERT INTO message(body) VALUES('a'); INSERT INTO log VALUES(1, ''); UPDATE counter SET n=n+1");
    ::_exit(0);
    return 0;
  });
  SUBCASE("without its -shm") { fs::remove(path.native() + "-shm"); }
  SUBCASE("with it") {}
  REQUIRE(const_cast<test::SmallDisk&>(disk).make_read_only());
  SqliteCapture capture(path, {milliseconds(0), scratch.path()});
  CHECK(number(capture.database(), "SELECT n FROM counter") == 101);
  CHECK(RowCounter::fault(write_copy(capture, scratch / "copy")) == "");
}

TEST_CASE("a database that is removed or replaced while it is captured is captured as it was") {
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  Database writer(path, OpenMode::create);
  writer.execute(kThree);
  SqliteCapture capture(path);
  SUBCASE("removed") {
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path.native() + suffix);
  }
  SUBCASE("replaced") {
    replace_file(path, "something else");
    fs::remove(path.native() + "-wal");
  }
  CHECK(number_in_copy(capture, dir / "copy", kCount) == 3);
}

TEST_CASE("locks of this process outlive a capture by this process") {
  // POSIX locks go when any descriptor of their file is closed: the reader's, were it not for SQLite's own ones.
  const test::TempDir dir;
  const fs::path path = dir / "a.sqlite";
  Database reader(path, OpenMode::create);
  reader.execute(kThree);
  const Transaction transaction(reader, Transaction::Kind::read);
  { bytes_of(SqliteCapture(path)); }
  const int status = test::run_child([&] {
    sqlite3* db = nullptr;
    ::sqlite3_open(path.c_str(), &db);
    // Refused while another process reads.
    return ::sqlite3_exec(db, "PRAGMA journal_mode=DELETE", nullptr, nullptr, nullptr) == SQLITE_OK ? 1 : 0;
  });
  CHECK(status == 0);
}

TEST_CASE("a name that is no UTF-8, or looks like an address, is a name") {
  const test::TempDir dir;
  for (const char* name : {"\xff\xfe?mode=memory.sqlite", "file:a?b=c", "a %41 #.sqlite"}) {
    const fs::path path = dir / name;
    { Database(path, OpenMode::create).execute(kThree); }
    SqliteCapture capture(path);
    CHECK(number(capture.database(), kCount) == 3);
  }
}

TEST_CASE("a database is told by its first bytes") {
  const std::string magic("SQLite format 3\0and more", 24);
  const auto bytes = [](const std::string& text) {
    return std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  };
  CHECK(begins_as_sqlite(bytes(magic)));
  CHECK(begins_as_sqlite(bytes(magic.substr(0, 16))));
  CHECK_FALSE(begins_as_sqlite(bytes(magic.substr(0, 15))));
  CHECK_FALSE(begins_as_sqlite(bytes("SQLite format 4 and so on")));
}

}  // namespace
}  // namespace reef::io
