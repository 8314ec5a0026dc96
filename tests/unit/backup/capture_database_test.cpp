#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "reef/backup/capture.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "support/memory_snapshot.h"
#include "support/row_counter.h"
#include "support/tree_fixture.h"
#include "unit/io/child.h"

namespace reef::backup {
namespace {

using test::MemorySnapshot;
using test::RowCounter;

constexpr const char* kConversations = "data/conversations/conversations.sqlite";

struct Fixture : test::TreeFixture {
  fs::path root = tree.root();
  CaptureOptions options;

  Fixture() {
    options.scratch = dir.path();
    options.patience = std::chrono::milliseconds(50);
  }
  CaptureReport run(MemorySnapshot& into, int tier = 1) { return capture(tree, tier, into, options, no_progress()); }
  /// Fails unless the database in the snapshot opens by itself and is of one commit.
  void check_restored(const MemorySnapshot& snapshot, const std::string& path) const {
    const fs::path copy = dir / "copy.sqlite";
    io::replace_file(copy, snapshot.at(path).bytes);
    CHECK(RowCounter::fault(copy) == "");
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(copy.native() + suffix);
  }
  static void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(40)); }
};

TEST_CASE("databases in use are captured as of one commit, with their rows counted, and without their logs") {
  Fixture tree;
  RowCounter::make(tree.root / kConversations, "PRAGMA journal_mode=WAL", 200);
  RowCounter::make(tree.root / "notes.db", "PRAGMA journal_mode=DELETE", 100);
  fs::create_directory(tree.root / "others");
  RowCounter::make(tree.root / "others/app.data", "PRAGMA journal_mode=WAL", 100);
  io::Database conversations(tree.root / kConversations, io::OpenMode::write);
  io::Database app(tree.root / "others/app.data", io::OpenMode::write);
  for (io::Database* database : {&conversations, &app})
    database->execute(
        "INSERT INTO message(body) VALUES('new'); INSERT INTO log VALUES(1, ''); UPDATE counter SET n=n+1");
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot);
  CHECK_FALSE(report.is_partial());
  CHECK(report.databases == 3);
  for (const char* path : {kConversations, "notes.db", "others/app.data"}) {
    tree.check_restored(snapshot, path);
    for (const char* suffix : {"-wal", "-shm", "-journal"}) CHECK_FALSE(snapshot.has(std::string(path) + suffix));
  }
  CHECK(snapshot.count(kConversations, "message") == 201);
  CHECK(snapshot.count(kConversations, "counter") == 1);
  CHECK(snapshot.count("others/app.data", "log") == 101);
  CHECK(snapshot.count("notes.db", "message") == 100);
}

TEST_CASE("rows of virtual tables, and of what stands behind them, are not counted") {
  Fixture tree;
  io::Database database(tree.root / kConversations, io::OpenMode::create);
  database.execute(
      "CREATE TABLE \"a\"\"b\"(x); INSERT INTO \"a\"\"b\" VALUES(1),(2); CREATE VIRTUAL TABLE f USING fts5(x);"
      "INSERT INTO f VALUES('word'); CREATE VIEW v AS SELECT 1; CREATE TABLE w(x PRIMARY KEY) WITHOUT ROWID");
  MemorySnapshot snapshot;
  tree.run(snapshot);
  CHECK(snapshot.at(kConversations).counts == Counts{{"a\"b", 2}, {"w", 0}});
}

TEST_CASE("a database that did not change is not opened, and a commit that is in the log alone is a change") {
  Fixture tree;
  RowCounter::make(tree.root / kConversations, "PRAGMA journal_mode=WAL", 20);
  io::Database database(tree.root / kConversations, io::OpenMode::write);
  database.execute("UPDATE counter SET n=21; INSERT INTO message(body) VALUES(''); INSERT INTO log VALUES(1, '')");
  Fixture::settle();
  MemorySnapshot first;
  tree.run(first);
  MemorySnapshot second(&first);
  CHECK(tree.run(second).databases == 1);
  CHECK(second.kept.contains(kConversations));
  const auto modified = fs::last_write_time(tree.root / kConversations);
  database.execute("UPDATE counter SET n=22; INSERT INTO message(body) VALUES(''); INSERT INTO log VALUES(1, '')");
  CHECK(fs::last_write_time(tree.root / kConversations) == modified);
  Fixture::settle();
  MemorySnapshot third(&second);
  tree.run(third);
  CHECK_FALSE(third.kept.contains(kConversations));
  tree.check_restored(third, kConversations);
  CHECK(third.count(kConversations, "message") == 22);
}

TEST_CASE("files that only look like databases are plain files, with what stands beside them") {
  Fixture tree;
  io::replace_file(tree.root / "a.sqlite", "encrypted, who knows");
  io::replace_file(tree.root / "a.sqlite-wal", "of a");
  io::replace_file(tree.root / "b-wal", "alone");
  io::replace_file(tree.root / "c.db", "");
  fs::create_directories(tree.root / "data/conversations/s1");
  RowCounter::make(tree.root / "data/conversations/s1/sent.sqlite", "", 3);  // what somebody sent is bytes
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot, 2);
  CHECK_FALSE(report.is_partial());
  CHECK(report.databases == 0);
  CHECK(snapshot.at("a.sqlite").bytes == "encrypted, who knows");
  CHECK(snapshot.at("a.sqlite-wal").bytes == "of a");
  CHECK(snapshot.at("b-wal").bytes == "alone");
  CHECK(snapshot.at("c.db").bytes.empty());
  CHECK(snapshot.has("data/conversations/s1/sent.sqlite"));
}

TEST_CASE("a damaged database is named each time, its bytes are taken, and the snapshot takes no sound one's place") {
  Fixture tree;
  const fs::path path = tree.root / kConversations;
  RowCounter::make(path, "PRAGMA journal_mode=WAL", 500);
  std::string bytes = io::read_file(path);
  SUBCASE("empty") { bytes.clear(); }
  SUBCASE("another file in its place") { bytes = std::string(9000, 'x'); }
  SUBCASE("cut") { bytes.resize(bytes.size() - 4096); }
  SUBCASE("its schema lost") { std::fill_n(bytes.begin() + 100, 3000, '\0'); }
  SUBCASE("a page of a table lost") {
    for (std::size_t page = 4096; page < bytes.size(); page += 4096)
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(page), 100, '\xee');
  }
  io::replace_file(path, bytes);
  Fixture::settle();
  MemorySnapshot first;
  MemorySnapshot second(&first);
  for (MemorySnapshot* snapshot : {&first, &second}) {
    const CaptureReport report = tree.run(*snapshot);
    CHECK(report.is_partial());
    REQUIRE(report.problems.size() == 1);
    CHECK(report.problems[0].path == kConversations);
    CHECK(report.problems[0].what.find("conversations.sqlite") != std::string::npos);
    CHECK(snapshot->damaged.contains(kConversations));
    CHECK_UNARY(snapshot->at(kConversations).bytes == bytes);
    CHECK_FALSE(snapshot->kept.contains(kConversations));
  }
}

TEST_CASE("of a database whose log is damaged both are taken as they lie") {
  Fixture tree;
  const fs::path path = tree.root / kConversations;
  RowCounter::make(path, "PRAGMA journal_mode=WAL", 20);
  io::Database database(path, io::OpenMode::write);
  database.execute("UPDATE counter SET n=30");
  const fs::path log = path.native() + "-wal";
  const io::UniqueFd fd = io::open_file(log, O_RDWR | O_CLOEXEC);
  io::pwrite_all(fd.get(), "????", 500, log);
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].what.find("frame 1") != std::string::npos);
  CHECK(snapshot.at(std::string(kConversations) + "-wal").bytes == io::read_file(log));
  CHECK(snapshot.at(kConversations).bytes == io::read_file(path));
  CHECK_FALSE(snapshot.has(std::string(kConversations) + "-shm"));
}

TEST_CASE("damage that no count meets is found by a check of databases that changed") {
  Fixture tree;
  const fs::path path = tree.root / kConversations;
  RowCounter::make(path, "PRAGMA journal_mode=WAL", 500);
  std::string bytes = io::read_file(path);
  // The rows of a leaf: its cells are not looked at when rows are counted by another index.
  std::int64_t leaf = 0;
  {
    io::Database database(path, io::OpenMode::read);
    auto query = database.prepare("SELECT max(pageno) FROM dbstat WHERE name='message' AND pagetype='leaf'");
    REQUIRE(query.step());
    leaf = query.integer(0);
  }
  for (const char* suffix : {"-wal", "-shm"}) fs::remove(path.native() + suffix);
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>((leaf - 1) * 4096 + 8), 200, '\xff');
  io::replace_file(path, bytes);
  tree.options.check_databases = true;
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot);
  REQUIRE(report.problems.size() == 1);
  CHECK(snapshot.damaged.contains(kConversations));
  CHECK_UNARY(snapshot.at(kConversations).bytes == bytes);
  CHECK(snapshot.at(kConversations).entry.state.empty());
}

TEST_CASE("a database that another process keeps locked is named, and the rest is in the snapshot") {
  Fixture tree;
  const fs::path path = tree.root / kConversations;
  RowCounter::make(path, "PRAGMA journal_mode=WAL", 3);
  const fs::path held = tree.dir / "held";
  const pid_t holder = test::start_child([&] {
    sqlite3* db = nullptr;
    ::sqlite3_open(path.c_str(), &db);
    RowCounter::execute(db, "PRAGMA locking_mode=EXCLUSIVE; UPDATE counter SET n=n+1");
    io::replace_file(held, "");
    ::pause();
    return 0;
  });
  const bool locked = test::wait_until([&] { return fs::exists(held); });
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot);
  ::kill(holder, SIGKILL);
  test::wait_child(holder);
  CHECK(locked);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].what.find("in use by another process") != std::string::npos);
  CHECK_FALSE(snapshot.has(kConversations));
  CHECK(snapshot.has("config/system.yaml"));
  CHECK(snapshot.damaged.contains(kConversations));
}

TEST_CASE("what is derived is captured before what it is derived from") {
  Fixture tree;
  for (const char* path :
       {"data/memories/alice/memories.sqlite", "vectors/conversations/alice/metadata.sqlite", kConversations,
        "data/documents/documents.sqlite", "vectors/personas/alice/metadata.sqlite", "models/base/weights"}) {
    fs::create_directories((tree.root / path).parent_path());
    if (std::string(path).ends_with(".sqlite"))
      RowCounter::make(tree.root / path, "PRAGMA journal_mode=WAL", 3);
    else
      io::replace_file(tree.root / path, "");
  }
  MemorySnapshot snapshot;
  CHECK_FALSE(tree.run(snapshot, 3).is_partial());
  const auto place = [&](const char* path) { return std::find(snapshot.order.begin(), snapshot.order.end(), path); };
  CHECK(place("data/memories/alice/memories.sqlite") < place(kConversations));
  CHECK(place("vectors/conversations/alice/metadata.sqlite") < place(kConversations));
  CHECK(place("data/documents/documents.sqlite") < place("vectors/personas/alice/metadata.sqlite"));
  CHECK(place("vectors/personas/alice/metadata.sqlite") < place("models/base/weights"));
  CHECK(place("config") < place("data"));
}

TEST_CASE("snapshots under writers without pause are sound, and no writer is refused anything") {
  Fixture tree;
  RowCounter::make(tree.root / kConversations, "PRAGMA journal_mode=WAL", 1000);
  RowCounter::make(tree.root / "other.db", "PRAGMA journal_mode=WAL", 1000);
  test::RowWriter writer(tree.root / kConversations);
  test::RowWriter other(tree.root / "other.db", 200);
  int runs = 0;
  for (const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1000);
       std::chrono::steady_clock::now() < end; ++runs) {
    MemorySnapshot snapshot;
    CHECK_FALSE(tree.run(snapshot).is_partial());
    tree.check_restored(snapshot, kConversations);
    tree.check_restored(snapshot, "other.db");
    CHECK(snapshot.count(kConversations, "message") == snapshot.count(kConversations, "log"));
  }
  writer.stop();
  other.stop();
  CHECK(runs > 3);
  CHECK(writer.failures() == 0);
  CHECK(other.failures() == 0);
}

}  // namespace
}  // namespace reef::backup
