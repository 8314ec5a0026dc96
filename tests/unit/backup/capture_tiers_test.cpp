// What is captured, through the stores of snapshots and back.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "reef/backup/capture.h"
#include "reef/backup/dated_folders.h"
#include "reef/backup/repository.h"
#include "reef/io/file.h"
#include "support/memory_snapshot.h"
#include "support/row_counter.h"
#include "support/tree_fixture.h"

namespace reef::backup {
namespace {

using test::MemorySnapshot;
using test::RowCounter;

constexpr const char* kConversations = "data/conversations/conversations.sqlite";

struct Fixture : test::TreeFixture {
  fs::path root = tree.root();
  int tier = 1;
  std::unique_ptr<SnapshotStore> store;

  void use(int number) {
    tier = number;
    fs::create_directory(dir / "to");
    DestinationOptions options;
    options.tree = root;
    if (tier == 1)
      store = std::make_unique<Repository>(dir / "to", options);
    else
      store = std::make_unique<DatedFolders>(dir / "to", options);
  }
  CaptureReport run() {
    CaptureOptions options;
    options.scratch = dir.path();
    options.never = {dir / "to"};
    const auto writer = store->begin(now(), no_progress());
    CaptureReport report = capture(tree, tier, *writer, options, no_progress());
    writer->commit();
    return report;
  }
  /// The newest snapshot.
  void read(MemorySnapshot& into) { store->read(store->list().back().id, {}, into, no_progress()); }
};

TEST_CASE("snapshots of a tree that somebody writes to come back sound, from each store") {
  Fixture tree;
  SUBCASE("tier 1") { tree.use(1); }
  SUBCASE("tier 2") { tree.use(2); }
  RowCounter::make(tree.root / kConversations, "PRAGMA journal_mode=WAL", 1000);
  io::replace_file(tree.root / "config/\xff", "a name that is no UTF-8");
  fs::create_hard_link(tree.root / "config/\xff", tree.root / "config/other name");
  const test::RowWriter writer(tree.root / kConversations);
  std::uint64_t kept = 0;
  for (int i = 0; i < 4; ++i) {
    const CaptureReport report = tree.run();
    CHECK_FALSE(report.is_partial());
    kept = report.kept;
    MemorySnapshot back;
    tree.read(back);
    const fs::path copy = tree.dir / "copy.sqlite";
    io::replace_file(copy, back.at(kConversations).bytes);
    CHECK(RowCounter::fault(copy) == "");
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(copy.native() + suffix);
    CHECK(back.count(kConversations, "message") == back.count(kConversations, "log"));
    CHECK(back.at("config/\xff").entry.same_file_as == "config/other name");
    CHECK(back.at("config/other name").bytes == "a name that is no UTF-8");
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
  }
  CHECK(kept > 0);
  CHECK(writer.failures() == 0);
}

}  // namespace
}  // namespace reef::backup
