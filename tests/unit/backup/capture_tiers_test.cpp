// What is captured, through the stores of snapshots and back.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "reef/backup/archives.h"
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
    else if (tier == 2)
      store = std::make_unique<DatedFolders>(dir / "to", options);
    else
      store = std::make_unique<Archives>(ArchivesOptions{dir / "to", options, nullptr, dir / "scratch", {}, {}, 1});
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
  SUBCASE("tier 3") { tree.use(3); }
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
  CHECK((kept > 0 || tree.tier == 3));  // each archive is whole
  CHECK(writer.failures() == 0);
}

TEST_CASE("a damaged database is in the snapshots, and sound ones before it stay") {
  Fixture tree;
  SUBCASE("tier 1") { tree.use(1); }
  SUBCASE("tier 3") { tree.use(3); }
  RowCounter::make(tree.root / kConversations, "PRAGMA journal_mode=WAL", 100);
  tree.run();
  std::string bytes = io::read_file(tree.root / kConversations);
  bytes.resize(bytes.size() / 2);
  io::replace_file(tree.root / kConversations, bytes);
  for (int i = 0; i < 2; ++i) CHECK(tree.run().problems.size() == 1);
  const auto snapshots = tree.store->list();
  REQUIRE(snapshots.size() == 3);
  CHECK_FALSE(snapshots[0].damaged);
  CHECK(snapshots[1].damaged);
  CHECK(snapshots[2].damaged);
  const PruneReport pruned = tree.store->prune(Retention::parse({"last 1"}), now(), false);
  bool stayed = false;
  for (const Snapshot& snapshot : pruned.stayed) stayed |= snapshot.id == snapshots[0].id;
  CHECK(stayed);
}

}  // namespace
}  // namespace reef::backup
