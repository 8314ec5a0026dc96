#include "reef/recover/drill.h"

#include <doctest/doctest.h>

#include <csignal>
#include <fstream>

#include "copied_store.h"
#include "reef/backup/ledger.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"

using namespace reef;

namespace {

struct Fixture : test::RecordedTree {
  std::shared_ptr<test::CopiedStore> store = std::make_shared<test::CopiedStore>(dir / "store");
  Fixture() {
    ingest("a.jsonl", 300);
    store->take(*this, "s1", "2026-11-01T00:00:00Z");
  }
  recover::DrillReport drill(const std::filesystem::path& scratch = {}) {
    const recover::Source source{1, "store", store, store->list().back()};
    return recover::drill(tree, source, {.scratch = scratch, .threads = 2}, no_progress());
  }
  /// What lies in the drill's folder, but for the ledger and its locks.
  std::vector<std::string> left() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(tree.backups()))
      if (entry.is_directory()) names.push_back(entry.path().filename().string());
    return names;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "drill: restores, checks, records and leaves nothing") {
  const auto report = drill();
  CHECK(report.check.is_sound());
  CHECK(report.check.faults.empty());
  CHECK(report.check.indexes == 1);
  CHECK(report.check.rows == 900);
  CHECK(report.bytes > 100'000);
  CHECK(left().empty());
  const auto ledger = backup::read_ledger(tree, 1);
  REQUIRE(ledger.drill);
  CHECK(ledger.drill->snapshot == "s1");
  CHECK(ledger.drill->sound);
  CHECK(ledger.drill->bytes == report.bytes);
}

TEST_CASE_FIXTURE(Fixture, "drill: a snapshot that lacks rows is not sound, and recorded so") {
  {
    io::Database database(dir / "store/s1/vectors/shared/metadata.sqlite", io::OpenMode::write);
    database.execute("DELETE FROM documents WHERE id = 7");
  }
  const auto report = drill();
  CHECK_FALSE(report.check.is_sound());
  CHECK_FALSE(backup::read_ledger(tree, 1).drill->sound);
  CHECK(left().empty());
}

TEST_CASE_FIXTURE(Fixture, "drill: a damaged file ends it, is recorded, and nothing is left") {
  store->damage("config/models.yaml");
  CHECK_THROWS_AS(drill(), const Error&);
  CHECK_FALSE(backup::read_ledger(tree, 1).drill->sound);
  CHECK(left().empty());
}

TEST_CASE_FIXTURE(Fixture, "drill: interrupted, it leaves nothing, and removes what a killed one left") {
  std::filesystem::create_directories(tree.backups() / ".drill-77/a/b");
  std::ofstream(tree.backups() / ".drill-77/a/b/f") << "x";
  std::filesystem::permissions(tree.backups() / ".drill-77/a", std::filesystem::perms(0500));
  pending_signal = SIGINT;
  CHECK_THROWS_AS(drill(), const Error&);
  pending_signal = 0;
  CHECK(left().empty());
  CHECK_FALSE(backup::read_ledger(tree, 1).drill);
}

TEST_CASE_FIXTURE(Fixture, "drill: in a folder of its own choice, which is left as it was") {
  std::filesystem::create_directory(dir / "scratch");
  CHECK(drill(dir / "scratch").check.is_sound());
  CHECK(std::filesystem::is_empty(dir / "scratch"));
  CHECK_THROWS_AS(drill(dir / "no-such"), const Error&);
}
