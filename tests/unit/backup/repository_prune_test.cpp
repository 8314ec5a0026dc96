#include <doctest/doctest.h>

#include "../io/small_disk.h"
#include "reef/backup/internal/snapshot_file.h"
#include "repository_sample.h"

namespace reef::backup {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

std::vector<std::string> ids_of(const std::vector<Snapshot>& snapshots) {
  std::vector<std::string> ids;
  for (const Snapshot& one : snapshots) ids.push_back(one.id);
  return ids;
}

PruneReport prune(const RepositorySample& sample, const std::string& rule, bool dry_run = false) {
  return sample.open().prune(Retention::parse({rule}), sample.time, dry_run);
}

/// What --dry-run says is what then happens.
PruneReport prune_as_planned(const RepositorySample& sample, const std::string& rule) {
  const auto before = sample.files();
  const std::uint64_t bytes = sample.bytes();
  const PruneReport planned = prune(sample, rule, true);
  CHECK(sample.files() == before);
  CHECK(sample.bytes() == bytes);
  const PruneReport done = prune(sample, rule);
  CHECK(ids_of(done.removed) == ids_of(planned.removed));
  CHECK(ids_of(done.stayed) == ids_of(planned.stayed));
  CHECK(done.freed_bytes == planned.freed_bytes);
  CHECK(bytes - sample.bytes() == done.freed_bytes);
  return done;
}

TEST_CASE("prune: snapshots go, and with them the packs that nobody needs") {
  RepositorySample sample;
  MemoryTree tree;
  tree.folder("");
  for (unsigned run = 0; run < 6; ++run) {
    tree.erase("changes");
    tree.file("changes", random_bytes(1'000'000, run));
    if (run == 0) tree.file("stays", random_bytes(1'000'000, 99));
    sample.back_up(tree);
  }
  const auto before = sample.open().list();
  const PruneReport done = prune_as_planned(sample, "last 2");
  CHECK(done.removed.size() == 4);
  CHECK(done.freed_bytes > 2'900'000);
  CHECK(sample.packs() == 3);  // the first one holds what stays
  CHECK(ids_of(sample.open().list()) == std::vector<std::string>{before[4].id, before[5].id});
  CHECK(sample.faults().empty());
  CHECK(same(sample.restore(before[5].id), tree.files));
  CHECK(prune_as_planned(sample, "last 2").freed_bytes == 0);
}

TEST_CASE("prune: a pack of which little is needed is written anew, under the same numbers") {
  RepositorySample sample;
  MemoryTree tree;
  tree.folder("");
  tree.file("goes", random_bytes(4'000'000, 1));
  tree.file("stays", random_bytes(500'000, 2) + text_bytes(500'000, 3));
  tree.file("goes-too", random_bytes(1'000'000, 4));
  sample.back_up(tree);
  const std::uint64_t full = fs::file_size(sample.folder() / "packs/00000001.pack");
  tree.erase("goes");
  tree.erase("goes-too");
  const Snapshot second = sample.back_up(tree);
  // A reader that has the old pack open goes on in it.
  struct Slow : MemorySink {
    explicit Slow(RepositorySample& from) : sample(from) {}
    void put(const Entry& entry, Content* content) override {
      if (content != nullptr) {
        std::uint8_t byte = 0;
        content->read(0, {&byte, 1});
        prune_as_planned(sample, "last 1");
      }
      MemorySink::put(entry, content);
    }
    RepositorySample& sample;
  } slow(sample);
  sample.open().read(second.id, {}, slow, no_progress());
  CHECK(same(slow.files, tree.files));
  CHECK(fs::file_size(sample.folder() / "packs/00000001.pack") < full / 4);
  CHECK(sample.faults().empty());
  CHECK(same(sample.restore(second.id), tree.files));
  // What was dropped is stored again when it comes back.
  tree.file("goes", random_bytes(4'000'000, 1));
  const Snapshot third = sample.back_up(tree);
  CHECK(third.added_bytes > 4'000'000);
  CHECK(same(sample.restore(third.id), tree.files));
  CHECK(sample.faults().empty());
}

TEST_CASE("prune: what a killed run left without a snapshot goes") {
  RepositorySample sample;
  MemoryTree tree;
  tree.file("a", random_bytes(100'000, 1));
  sample.back_up(tree);
  tree.file("b", random_bytes(100'000, 2));
  const Snapshot second = sample.back_up(tree);
  fs::remove(sample.folder() / "snapshots" / second.id);  // killed before its last step
  io::replace_file(sample.folder() / "packs/.00000003.pack.abcdef.tmp", "half");
  CHECK(sample.faults().empty());
  CHECK(prune(sample, "last 5").freed_bytes > 100'000);
  CHECK(sample.packs() == 1);
  // The number of the pack is used again only because nothing can refer to it.
  const Snapshot again = sample.back_up(tree);
  CHECK(same(sample.restore(again.id), tree.files));
}

TEST_CASE("prune: a snapshot that is read while it is removed is said to be gone") {
  RepositorySample sample;
  MemoryTree tree;
  for (int i = 0; i < 3; ++i) tree.file("file" + std::to_string(i), random_bytes(100'000, static_cast<unsigned>(i)));
  const Snapshot first = sample.back_up(tree);
  for (MemoryFile& file : tree.files) {
    file.bytes = random_bytes(100'000, 77);
    tree.touch(file);
  }
  sample.back_up(tree);
  struct Removing : Sink {
    explicit Removing(RepositorySample& from) : sample(from) {}
    void put(const Entry&, Content*) override {
      prune(sample, "last 1");
      throw Error(Errc::corrupt, "the pack is missing");
    }
    RepositorySample& sample;
  } removing(sample);
  try {
    sample.open().read(first.id, {}, removing, no_progress());
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::not_found);
    CHECK(std::string(error.what()).find("was removed while it was read") != std::string::npos);
  }
}

TEST_CASE("prune: nothing goes that a damaged snapshot may need") {
  RepositorySample sample;
  MemoryTree tree;
  tree.folder("");
  for (unsigned run = 0; run < 3; ++run) {
    tree.erase("a");
    tree.file("a", random_bytes(600'000, run));
    sample.back_up(tree);
  }
  const auto listed = sample.open().list();
  sample.flip("snapshots/" + listed[2].id, 20, 0);
  const PruneReport done = prune_as_planned(sample, "last 1");
  CHECK(ids_of(done.stayed) == std::vector<std::string>{listed[1].id, listed[2].id});
  CHECK(sample.packs() == 3);
  sample.flip("snapshots/" + listed[2].id, 20, 0);
  CHECK(same(sample.restore(listed[2].id), tree.files));
}

TEST_CASE("prune: damage in a block that stays keeps its pack as it is") {
  RepositorySample sample;
  MemoryTree tree;
  tree.folder("");
  tree.file("goes", random_bytes(4'000'000, 1));
  tree.file("stays", random_bytes(500'000, 2));
  sample.back_up(tree);
  tree.erase("goes");
  sample.back_up(tree);
  const std::string pack = io::read_file(sample.folder() / "packs/00000001.pack");
  sample.flip("packs/00000001.pack", pack.find(tree["stays"].bytes.substr(0, 100)), 1);
  prune(sample, "last 1");
  CHECK(fs::file_size(sample.folder() / "packs/00000001.pack") == pack.size());
  CHECK(sample.faults().size() == 1);
}

TEST_CASE("prune: the newest verified snapshot stays") {
  RepositorySample sample;
  MemoryTree tree;
  tree.folder("");
  for (unsigned run = 0; run < 4; ++run) {
    tree.erase("a");
    tree.file("a", random_bytes(300'000, run));
    sample.back_up(tree);
  }
  const auto listed = sample.open().list();
  VerifyOptions options;
  options.snapshot = listed[0].id;
  CHECK(sample.faults(options).empty());
  const PruneReport done = prune_as_planned(sample, "last 1");
  CHECK(ids_of(done.stayed) == std::vector<std::string>{listed[0].id, listed[3].id});
  CHECK(sample.restore(listed[0].id)[1].bytes == random_bytes(300'000, 0));
}

TEST_CASE("prune: needs no room") {
  const reef::test::SmallDisk disk(std::size_t{8} << 20);
  if (!disk.mounted()) return;
  const fs::path folder = disk.path() / "repository";
  fs::create_directory(folder);
  DestinationOptions options;
  options.tree = disk.path() / "tree";
  Repository repository(folder, options);
  Time time = parse_time("2026-11-30");
  const auto back_up = [&](const std::string& bytes) {
    const auto writer = repository.begin(time += std::chrono::minutes(15), no_progress());
    MemoryContent content(bytes);
    Entry entry;
    entry.path = "a";
    writer->put(entry, &content);
    return writer->commit();
  };
  back_up(random_bytes(3'000'000, 1));
  const Snapshot second = back_up(random_bytes(3'000'000, 2));
  CHECK_THROWS_AS(back_up(random_bytes(3'000'000, 3)), Error);
  CHECK(repository.list().size() == 2);
  // Not a byte is left.
  std::ofstream filler(disk.path() / "filler");
  while (filler.good()) filler << random_bytes(4096, 4) << std::flush;
  CHECK_THROWS_AS(back_up("one byte more"), Error);
  const PruneReport done = repository.prune(Retention::parse({"last 1"}), time, false);
  CHECK(done.removed.size() == 1);
  CHECK(done.freed_bytes > 2'900'000);
  CHECK(repository.verify({}, no_progress()).faults.empty());
  back_up(random_bytes(2'000'000, 3));
  CHECK(repository.list().size() == 2);
}

}  // namespace
}  // namespace reef::backup
