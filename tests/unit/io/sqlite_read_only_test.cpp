#include <doctest/doctest.h>
#include <unistd.h>

#include <string>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "support/temp_dir.h"
#include "unit/io/child.h"
#include "unit/io/small_disk.h"

namespace reef::io {
namespace {

constexpr const char* kOne = "CREATE TABLE t(a); INSERT INTO t VALUES('kept')";

std::string read_back(const fs::path& path) {
  Database database(path, OpenMode::read);
  Statement query = database.prepare("SELECT a FROM t");
  return query.step() ? std::string(query.text(0)) : "";
}

/// A database whose changes are in its -wal still, as a killed writer leaves it.
void killed_writer(const fs::path& path) {
  const int status = test::run_child([&] {
    Database database(path, OpenMode::create);
    database.execute(kOne);
    ::_exit(0);  // no close, so no checkpoint
    return 0;
  });
  REQUIRE(status == 0);
  REQUIRE(fs::file_size(fs::path(path.native() + "-wal")) > 0);
}

TEST_CASE("a database is read from a read-only filesystem") {
  test::SmallDisk disk(4 << 20);
  if (!disk.mounted()) return;
  const fs::path path = disk.path() / "with #%? in its name.sqlite";
  { Database(path, OpenMode::create).execute(kOne); }
  REQUIRE_FALSE(fs::exists(path.native() + "-wal"));
  REQUIRE(disk.make_read_only());
  CHECK(read_back(path) == "kept");
  CHECK_THROWS_WITH_AS(Database(path, OpenMode::write), doctest::Contains("open"), Error);
  CHECK_THROWS_AS(Database(disk.path() / "new", OpenMode::create), Error);
}

TEST_CASE("an empty -wal does not matter there") {
  test::SmallDisk disk(4 << 20);
  if (!disk.mounted()) return;
  const fs::path path = disk.path() / "a.sqlite";
  { Database(path, OpenMode::create).execute(kOne); }
  replace_file(path.native() + "-wal", "");
  REQUIRE(disk.make_read_only());
  CHECK(read_back(path) == "kept");
}

TEST_CASE("changes in a -wal are read there when its -shm is, too, and asked for otherwise") {
  test::SmallDisk disk(4 << 20);
  if (!disk.mounted()) return;
  const fs::path whole = disk.path() / "whole.sqlite";
  const fs::path without = disk.path() / "without.sqlite";
  killed_writer(whole);
  killed_writer(without);
  fs::remove(without.native() + "-shm");
  REQUIRE(disk.make_read_only());
  CHECK(read_back(whole) == "kept");
  try {
    read_back(without);
    FAIL("opened without its newest changes");
  } catch (const Error& e) {
    CHECK(e.code() == Errc::failed);
    CHECK(std::string(e.what()).find("its newest changes are in") != std::string::npos);
    CHECK(e.hint().find("copy both files") == 0);
  }
}

TEST_CASE("a writer that was killed loses nothing that it committed") {
  const test::TempDir dir;
  killed_writer(dir / "a.sqlite");
  CHECK(read_back(dir / "a.sqlite") == "kept");
}

TEST_CASE("on a full disk a transaction fails whole, and says so") {
  test::SmallDisk disk(512 << 10);
  if (!disk.mounted()) return;
  const fs::path path = disk.path() / "a.sqlite";
  Database database(path, OpenMode::create);
  database.execute(kOne);
  try {
    Transaction transaction(database);
    Statement insert = database.prepare("INSERT INTO t VALUES(?)");
    for (int i = 0; i < 1000; ++i) insert.bind(1, std::string(4000, 'x')).run();
    database.execute("PRAGMA cache_spill = 1");
    transaction.commit();
    FAIL("the disk was not full");
  } catch (const Error& e) {
    CHECK(e.code() == Errc::failed);
    CHECK(e.hint().find("free some space") == 0);
  }
  CHECK(read_back(path) == "kept");
  CHECK(database.integrity().empty());
}

}  // namespace
}  // namespace reef::io
