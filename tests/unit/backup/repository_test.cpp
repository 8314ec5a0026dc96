#include "reef/backup/repository.h"

#include <doctest/doctest.h>

#include <atomic>

#include "repository_sample.h"

namespace reef::backup {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

constexpr std::size_t kBlock = 16 << 10;

Errc code_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("no error");
  return Errc::failed;
}

MemoryTree tree_of_all_kinds() {
  MemoryTree tree;
  tree.folder("");
  tree.folder("config");
  tree.file("config/system.yaml", "name: tower\n");
  tree.file("config/empty", "");
  tree.folder("data");
  tree.file("data/one-byte", "x");
  tree.file("data/block", random_bytes(kBlock, 1));
  tree.file("data/block-and-byte", random_bytes(kBlock + 1, 2));
  tree.file("data/vectors.npy", random_bytes(5'000'000, 3)).counts = {{"n", 1234}};
  tree.file("data/database.sqlite", text_bytes(3'000'000, 4)).counts = {{"messages", 17}, {"sessions", 3}};
  tree.file("data/zeros", std::string(3 * kBlock + 100, '\0'));
  tree.file("data/sparse", random_bytes(kBlock, 5) + std::string(40 * kBlock, '\0') + random_bytes(100, 6));
  tree.file(std::string("data/caf\xe9 \xff\x01 name"), "a name that is not UTF-8");
  tree.link("data/link", "../../outside");
  tree.link("data/dangling", "/no/where");
  tree.hard_link("data/same-vectors.npy", "data/vectors.npy");
  return tree;
}

TEST_CASE("repository: every kind of entry comes back as it was") {
  RepositorySample sample;
  const MemoryTree tree = tree_of_all_kinds();
  const Snapshot made = sample.back_up(tree);
  CHECK(made.id == "2026-11-30T100000Z");
  CHECK(made.files == 11);
  CHECK(made.changed.empty());
  CHECK(same(sample.restore(made.id), tree.files));
  const auto entries = sample.open().entries(made.id);
  REQUIRE(entries.size() == tree.files.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    CHECK(same(entries[i].first, tree.files[i].entry));
    CHECK(entries[i].second == tree.files[i].counts);
  }
  CHECK(sample.faults().empty());
}

TEST_CASE("repository: reads of any size and place give the same bytes") {
  RepositorySample sample;
  MemoryTree tree;
  tree.file("a", random_bytes(100'000, 1) + std::string(100'000, '\0') + text_bytes(100'001, 2));
  const Snapshot made = sample.back_up(tree);
  for (const std::uint64_t piece : {1000U, 16384U, 16385U, 65536U, 300'001U}) {
    MemorySink sink;
    sink.piece = piece;
    sample.open().read(made.id, {}, sink, no_progress());
    CHECK(same(sink.files, tree.files));
  }
}

TEST_CASE("repository: zeros and holes take no room, and are told to whoever restores") {
  RepositorySample sample;
  MemoryTree tree;
  tree.file("sparse", std::string(20'000'000, '\0') + "end");
  const Snapshot made = sample.back_up(tree);
  CHECK(made.added_bytes < 10'000);
  CHECK(made.size_bytes == 20'000'003);
  struct Holes : Sink {
    void put(const Entry&, Content* content) override { data = content->next_data(0); }
    std::uint64_t data = 0;
  } holes;
  sample.open().read(made.id, {}, holes, no_progress());
  CHECK(holes.data == 20'000'000 / kBlock * kBlock);
}

TEST_CASE("repository: holes that the content knows of are not read") {
  RepositorySample sample;
  const std::string bytes = std::string(8'000'000, '\0') + random_bytes(100'000, 1) + std::string(8'000'000, '\0');
  Repository repository = sample.open();
  std::atomic<int> reads{0};
  {
    const auto writer = repository.begin(sample.time, no_progress());
    MemoryContent content(bytes);
    content.tells_holes = true;
    content.on_read = [&](std::uint64_t) { ++reads; };
    Entry entry;
    entry.path = "sparse";
    writer->put(entry, &content);
    writer->commit();
  }
  CHECK(reads <= 2);
  const auto restored = sample.restore("2026-11-30T100000Z");
  REQUIRE(restored.size() == 1);
  CHECK(restored[0].bytes == bytes);
}

TEST_CASE("repository: where nothing changed nothing is read, and the snapshot says that it was so") {
  RepositorySample sample;
  const MemoryTree tree = tree_of_all_kinds();
  sample.back_up(tree);
  const std::uint64_t before = sample.bytes();
  const Snapshot again = sample.back_up(tree);
  CHECK(again.id == "2026-11-30T101500Z");
  CHECK(sample.kept.count("data/vectors.npy") == 1);
  CHECK(again.added_bytes < 300);
  CHECK(sample.bytes() == before + again.added_bytes);
  CHECK(sample.packs() == 1);
  CHECK(same(sample.restore(again.id), tree.files));
}

TEST_CASE("repository: what is kept has the new name's attributes and the old content") {
  RepositorySample sample;
  MemoryTree tree;
  tree.file("a", "content").counts = {{"rows", 1}};
  sample.back_up(tree);
  tree["a"].entry.mode = 0600;
  const Snapshot made = sample.back_up(tree);
  CHECK(sample.kept.size() == 1);
  CHECK(same(sample.restore(made.id), tree.files));
}

TEST_CASE("repository: without a state, and where the state differs, a file is read") {
  RepositorySample sample;
  MemoryTree tree;
  tree.file("a", "one").entry.state.clear();
  tree.file("b", "two");
  sample.back_up(tree);
  tree.touch(tree["b"]);
  sample.back_up(tree);
  CHECK(sample.kept.empty());
  sample.back_up(tree);
  CHECK(sample.kept == std::set<std::string>{"b"});
}

TEST_CASE("repository: appending and changing in place costs the blocks that differ") {
  RepositorySample sample;
  MemoryTree tree;
  tree.file("vectors", random_bytes(8'000'000, 1));
  sample.back_up(tree);
  MemoryFile& file = tree["vectors"];
  file.bytes += random_bytes(50'000, 2);
  tree.touch(file);
  const Snapshot appended = sample.back_up(tree);
  CHECK(appended.added_bytes < 50'000 + 3 * kBlock);
  file.bytes[4'000'000] = static_cast<char>(file.bytes[4'000'000] ^ 1);
  file.bytes[10] = static_cast<char>(file.bytes[10] ^ 1);
  tree.touch(file);
  const Snapshot changed = sample.back_up(tree);
  CHECK(changed.added_bytes < 3 * kBlock);
  CHECK(same(sample.restore(changed.id), tree.files));
  CHECK(sample.restore("2026-11-30T100000Z")[0].bytes == random_bytes(8'000'000, 1));
  file.bytes.resize(3'000'000);
  tree.touch(file);
  const Snapshot cut = sample.back_up(tree);
  CHECK(cut.added_bytes < 2 * kBlock);
  CHECK(same(sample.restore(cut.id), tree.files));
  CHECK(sample.faults().empty());
}

TEST_CASE("repository: blocks are stored once, wherever they stand") {
  RepositorySample sample;
  MemoryTree tree;
  const std::string bytes = random_bytes(4'000'000, 1);
  tree.file("generation.1", bytes);
  tree.file("copy", bytes);
  const Snapshot first = sample.back_up(tree);
  CHECK(first.added_bytes < 4'100'000);
  tree.erase("generation.1");
  tree.erase("copy");
  tree.file("generation.2", bytes + "more");
  CHECK(sample.back_up(tree).added_bytes < 2 * kBlock);
  tree.file("pattern", [] {
    std::string pattern;
    const std::string block = random_bytes(kBlock, 9);
    for (int i = 0; i < 200; ++i) pattern += block;
    return pattern;
  }());
  const Snapshot third = sample.back_up(tree);
  CHECK(third.added_bytes < 3 * kBlock);
  CHECK(same(sample.restore(third.id), tree.files));
}

TEST_CASE("repository: of many files one that changes costs little") {
  RepositorySample sample;
  MemoryTree tree;
  for (int i = 0; i < 20'000; ++i)
    tree.file("folder" + std::to_string(i % 37) + "-file" + std::to_string(i), "content " + std::to_string(i));
  sample.back_up(tree);
  MemoryFile& file = tree["folder0-file37"];
  file.bytes = "other";
  tree.touch(file);
  const Snapshot made = sample.back_up(tree);
  CHECK(sample.kept.size() == 19'999);
  CHECK(made.added_bytes < 50'000);
  CHECK(same(sample.restore(made.id), tree.files));
}

TEST_CASE("repository: an entry whose content fails is as if it had never been put") {
  RepositorySample sample;
  const std::string bytes = random_bytes(10'000'000, 1);
  Repository repository = sample.open();
  const auto writer = repository.begin(sample.time, no_progress());
  Entry entry;
  entry.path = "a";
  MemoryContent torn(bytes);
  torn.changes = true;
  CHECK_THROWS_AS(writer->put(entry, &torn), Changed);
  MemoryContent failing(bytes);
  failing.on_read = [](std::uint64_t offset) {
    if (offset > 5'000'000) throw Error(Errc::failed, "read: Input/output error");
  };
  CHECK_THROWS_AS(writer->put(entry, &failing), Error);
  entry.path = "b";
  MemoryContent whole(bytes);
  writer->put(entry, &whole);
  entry.path = "a";
  MemoryContent again(bytes);
  writer->put(entry, &again);
  writer->note_changed("a");
  const Snapshot made = writer->commit();
  CHECK(made.files == 2);
  CHECK(made.changed == std::vector<std::string>{"a"});
  CHECK(made.added_bytes < 10'200'000);
  const auto restored = sample.restore(made.id);
  REQUIRE(restored.size() == 2);
  CHECK(restored[0].entry.path == "b");
  CHECK(restored[0].bytes == bytes);
  CHECK(restored[1].bytes == bytes);
}

TEST_CASE("repository: a file that may be torn is read again though its state is the same") {
  RepositorySample sample;
  MemoryTree tree;
  tree.file("a", "torn");
  Repository repository = sample.open();
  {
    const auto writer = repository.begin(sample.time, no_progress());
    MemoryContent content(tree["a"].bytes);
    writer->put(tree["a"].entry, &content);
    writer->note_changed("a");
    writer->commit();
  }
  sample.time += std::chrono::minutes(15);
  CHECK(sample.open().list().back().changed == std::vector<std::string>{"a"});
  sample.back_up(tree);
  CHECK(sample.kept.empty());
  CHECK(sample.open().list().back().changed.empty());
}

TEST_CASE("repository: a snapshot of a tree with a damaged file is damaged from its beginning") {
  RepositorySample sample;
  MemoryTree tree;
  tree.file("a", "as far as it could be read");
  Repository repository = sample.open();
  {
    const auto writer = repository.begin(sample.time, no_progress());
    MemoryContent content(tree["a"].bytes);
    writer->put(tree["a"].entry, &content);
    writer->note_damaged("a", "malformed");
    CHECK(writer->commit().damaged.has_value());
  }
  sample.time += std::chrono::minutes(15);
  CHECK(sample.faults().empty());
  CHECK(repository.list()[0].damaged == parse_time("2026-11-30T10:00:00Z"));
  sample.back_up(tree);
  CHECK(sample.kept.empty());
  CHECK_FALSE(repository.list()[1].damaged.has_value());
}

TEST_CASE("repository: a run that does not commit leaves nothing") {
  RepositorySample sample;
  sample.back_up(tree_of_all_kinds());
  const auto before = sample.files();
  {
    Repository repository = sample.open();
    const auto writer = repository.begin(sample.time, no_progress());
    const std::string bytes = random_bytes(3'000'000, 77);
    MemoryContent content(bytes);
    Entry entry;
    entry.path = "a";
    writer->put(entry, &content);
  }
  CHECK(sample.files() == before);
  CHECK(sample.open().list().size() == 1);
}

TEST_CASE("repository: what a killed run left is removed by the next") {
  RepositorySample sample;
  const MemoryTree tree = tree_of_all_kinds();
  sample.back_up(tree);
  io::replace_file(sample.folder() / "packs/.00000002.pack.abcdef.tmp", "half a pack");
  io::replace_file(sample.folder() / "snapshots/.2026-11-30T101500Z.abcdef.tmp", "half a snapshot");
  const auto made = sample.back_up(tree);
  CHECK(sample.files() == std::vector<std::string>{".reef-backup", "packs/00000001.pack",
                                                   "snapshots/2026-11-30T100000Z", "snapshots/" + made.id});
}

TEST_CASE("repository: two runs at once, and readers meanwhile") {
  RepositorySample sample;
  const MemoryTree tree = tree_of_all_kinds();
  const Snapshot made = sample.back_up(tree);
  Repository repository = sample.open();
  const auto writer = repository.begin(sample.time, no_progress());
  Repository other = sample.open();
  CHECK(code_of([&] { other.begin(sample.time, no_progress()); }) == Errc::locked);
  CHECK(code_of([&] { other.prune(Retention::parse({"last 1"}), sample.time, false); }) == Errc::locked);
  CHECK(other.list().size() == 1);
  CHECK(same(sample.restore(made.id), tree.files));
  CHECK(other.prune(Retention::parse({"last 1"}), sample.time, true).stayed.size() == 1);
}

TEST_CASE("repository: ids ascend when the clock goes back, and twice in a second") {
  RepositorySample sample;
  MemoryTree tree;
  tree.file("a", "1");
  std::vector<std::string> ids;
  for (const char* time : {"2026-11-30T23:59:59Z", "2026-11-30T23:59:59.5Z", "2020-01-01", "2026-11-30T12:00:00Z",
                           "2026-12-01T00:00:02Z", "2026-12-05"}) {
    sample.time = parse_time(time);
    ids.push_back(sample.back_up(tree).id);
  }
  CHECK(ids == std::vector<std::string>{"2026-11-30T235959Z", "2026-12-01T000000Z", "2026-12-01T000001Z",
                                        "2026-12-01T000002Z", "2026-12-01T000003Z", "2026-12-05T000000Z"});
  const auto snapshots = sample.open().list();
  REQUIRE(snapshots.size() == 6);
  CHECK(snapshots[2].taken == parse_time("2020-01-01"));
}

TEST_CASE("repository: unknown snapshots, and folders that are no repository") {
  RepositorySample sample;
  CHECK(code_of([&] { sample.open().list(); }) == Errc::not_found);
  sample.back_up(tree_of_all_kinds());
  for (const char* id : {"2020-01-01T000000Z", "", "../2026-11-30T100000Z", "no id"}) {
    CHECK(code_of([&] { sample.restore(id); }) == Errc::not_found);
    CHECK(code_of([&] { sample.open().entries(id); }) == Errc::not_found);
    VerifyOptions options;
    options.snapshot = id;
    CHECK(code_of([&] { sample.faults(options); }) == Errc::not_found);
  }
}

TEST_CASE("repository: paths that lead out of a tree are refused when they are put") {
  RepositorySample sample;
  Repository repository = sample.open();
  const auto writer = repository.begin(sample.time, no_progress());
  for (const std::string& path : {std::string("../a"), std::string("/etc/passwd"), std::string("a//b"),
                                  std::string("a/./b"), std::string("a/"), std::string("a\0b", 3)}) {
    Entry entry;
    entry.path = path;
    entry.type = EntryType::folder;
    CHECK_THROWS_AS(writer->put(entry, nullptr), Error);
  }
}

TEST_CASE("repository: a selection brings the folders above, and links whose file is not selected as files") {
  RepositorySample sample;
  MemoryTree tree;
  tree.folder("");
  tree.folder("data");
  tree.file("data/original", random_bytes(100'000, 1));
  tree.folder("data/b");
  tree.hard_link("data/b/second", "data/original");
  tree.hard_link("data/b/third", "data/original");
  tree.folder("other");
  tree.file("other/file", "x");
  const Snapshot made = sample.back_up(tree);
  const auto restored = sample.restore(made.id, {"data/b"});
  std::string paths;
  for (const MemoryFile& file : restored) paths += file.entry.path + "|";
  CHECK(paths == "|data|data/b|data/b/second|data/b/third|");
  CHECK(restored[3].bytes == random_bytes(100'000, 1));
  CHECK(restored[3].entry.same_file_as.empty());
  CHECK(restored[4].entry.same_file_as == "data/b/second");
  CHECK(sample.restore(made.id, {"nothing"}).size() == 1);
}

TEST_CASE("repository: random trees, changed again and again, come back each as it was") {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same trees each time
  for (int round = 0; round < 20; ++round) {
    RepositorySample sample;
    MemoryTree tree;
    std::vector<std::pair<std::string, std::vector<MemoryFile>>> made;
    for (int run = 0; run < 10; ++run) {
      for (int change = 0; change < 6; ++change) {
        const std::string path = "f" + std::to_string(random() % 12);
        const auto there = std::find_if(tree.files.begin(), tree.files.end(),
                                        [&](const MemoryFile& one) { return one.entry.path == path; });
        const std::size_t size = random() % 3 == 0 ? random() % 2'000'000 : random() % 70'000;
        if (there == tree.files.end()) {
          tree.file(path, random() % 2 == 0 ? random_bytes(size, static_cast<unsigned>(random()))
                                            : text_bytes(size, static_cast<unsigned>(random())));
          continue;
        }
        std::string& bytes = there->bytes;
        switch (random() % 5) {
          case 0:
            bytes += random_bytes(random() % 50'000, static_cast<unsigned>(random()));
            break;
          case 1:
            bytes.resize(bytes.size() / 2);
            break;
          case 2:
            if (!bytes.empty()) bytes.replace(random() % bytes.size(), 1, "!");
            break;
          case 3:
            if (!bytes.empty()) bytes.replace(random() % bytes.size(), 40'000, std::string(40'000, '\0'));
            break;
          default:
            tree.erase(path);
            continue;
        }
        tree.touch(*there);
      }
      made.emplace_back(sample.back_up(tree).id, tree.files);
    }
    for (const auto& [id, files] : made) CHECK(same(sample.restore(id), files));
    CHECK(sample.faults().empty());
  }
}

}  // namespace
}  // namespace reef::backup
