#include "reef/backup/capture.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/memory_snapshot.h"
#include "support/tree_fixture.h"
#include "unit/io/child.h"

namespace reef::backup {
namespace {

using test::MemorySnapshot;

struct Fixture : test::TreeFixture {
  fs::path root = tree.root();

  fs::path make(const std::string& path, const std::string& content = "x") {
    fs::create_directories((root / path).parent_path());
    io::replace_file(root / path, content);
    return root / path;
  }
  CaptureReport run(MemorySnapshot& into, int tier = 3, CaptureOptions options = {}) {
    options.scratch = dir.path();
    return capture(tree, tier, into, options, no_progress());
  }
  static void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(40)); }
};

TEST_CASE("each tier holds its part of the tree, folders before what lies in them") {
  Fixture tree;
  for (const char* path :
       {"cache/model_cache/a", "data/backups/tier1.json", "models/base/a/model.safetensors",
        "models/adapters/b/model.safetensors", "data/documents/raw/ab/c", "data/documents/processed/d.jsonl",
        "data/conversations/s1/e.png", "notes/f", ".reef-init.lock", "config/.system.yaml.abcdef.tmp"})
    tree.make(path);
  tree.make("notes/large", std::string((1 << 20) + 1, 'x'));
  const auto taken = [&](int tier) {
    MemorySnapshot snapshot;
    const CaptureReport report = tree.run(snapshot, tier);
    CHECK_FALSE(report.is_partial());
    CHECK(report.notes.empty());
    CHECK(report.kept == 0);
    std::set<std::string> seen;
    for (const std::string& path : snapshot.order) {
      if (!path.empty()) CHECK(seen.contains(fs::path(path).parent_path()));
      CHECK(seen.insert(path).second);
    }
    std::uint64_t files = 0;
    for (const std::string& path : snapshot.paths()) files += snapshot.at(path).entry.type == EntryType::file ? 1 : 0;
    CHECK(report.files == files);
    return seen;
  };
  const auto one = taken(1);
  const auto two = taken(2);
  const auto three = taken(3);
  for (const char* path : {".reef-tree", "config/system.yaml", "notes/f"}) CHECK(one.contains(path));
  CHECK_FALSE(one.contains("data/documents/raw"));
  CHECK_FALSE(one.contains("notes/large"));
  for (const char* path :
       {"data/documents/raw/ab/c", "data/conversations/s1/e.png", "models/adapters/b/model.safetensors"}) {
    CHECK_FALSE(one.contains(path));
    CHECK(two.contains(path));
  }
  for (const char* path : {"models/base/a/model.safetensors", "data/documents/processed/d.jsonl", "notes/large"}) {
    CHECK_FALSE(two.contains(path));
    CHECK(three.contains(path));
  }
  for (const char* path : {"cache", "data/backups", ".reef-init.lock", "config/.system.yaml.abcdef.tmp"})
    CHECK_FALSE(three.contains(path));
}

TEST_CASE("an entry is what lstat tells, and its content the file's") {
  Fixture tree;
  const fs::path file = tree.make("notes/\xff\xfe name", "some bytes");
  ::chmod(file.c_str(), 04751);
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1000));
  Fixture::settle();
  MemorySnapshot snapshot;
  tree.run(snapshot);
  const auto& taken = snapshot.at("notes/\xff\xfe name");
  struct stat status {};
  REQUIRE(::lstat(file.c_str(), &status) == 0);
  CHECK(taken.bytes == "some bytes");
  CHECK(taken.entry.mode == 04751);
  CHECK(taken.entry.uid == status.st_uid);
  CHECK(taken.entry.modified_ns == status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec);
  CHECK(taken.entry.size_bytes == 10);
  CHECK_FALSE(taken.entry.state.empty());
}

TEST_CASE("what did not change is not opened, and all else is") {
  Fixture tree;
  tree.make("notes/a");
  tree.make("notes/b");
  Fixture::settle();
  MemorySnapshot first;
  const CaptureReport all = tree.run(first);
  CHECK(all.kept == 0);
  tree.make("notes/b", "other");
  MemorySnapshot second(&first);
  const CaptureReport report = tree.run(second);
  CHECK(report.files == all.files);
  CHECK(report.kept == all.files - 1);
  CHECK_FALSE(second.kept.contains("notes/b"));
  CHECK(second.at("notes/b").bytes == "other");
  CHECK(second.order == first.order);
}

TEST_CASE("names of one file are one file") {
  Fixture tree;
  tree.make("notes/a", "same");
  fs::create_hard_link(tree.root / "notes/a", tree.root / "notes/b");
  fs::create_hard_link(tree.root / "notes/a", tree.root / "more");
  Fixture::settle();
  MemorySnapshot first;
  tree.run(first);
  // Folders come before the names that follow theirs: "more" is the first one.
  CHECK(first.at("more").entry.same_file_as.empty());
  CHECK(first.at("more").bytes == "same");
  CHECK(first.at("notes/a").entry.same_file_as == "more");
  CHECK(first.at("notes/b").entry.same_file_as == "more");
  MemorySnapshot second(&first);
  tree.run(second);
  CHECK(second.kept.contains("more"));
  CHECK(second.at("notes/b").entry.same_file_as == "more");
}

TEST_CASE("holes are not read, in a file of 8 GB as well") {
  Fixture tree;
  const fs::path file = tree.make("notes/sparse", "begin");
  fs::resize_file(file, std::uint64_t{8} << 30);
  const io::UniqueFd fd = io::open_file(file, O_WRONLY | O_CLOEXEC);
  io::pwrite_all(fd.get(), "far", std::uint64_t{5} << 30, file);
  MemorySnapshot snapshot;
  CHECK_FALSE(tree.run(snapshot).is_partial());
  CHECK(snapshot.at("notes/sparse").entry.size_bytes == std::uint64_t{8} << 30);
  CHECK(snapshot.at("notes/sparse").data_bytes > 0);
  CHECK(snapshot.at("notes/sparse").data_bytes < 1 << 22);
}

TEST_CASE("links are kept as links, and those that lead out of the tree are told") {
  Fixture tree;
  tree.write("secret", "not of the tree");
  fs::create_symlink("../config/system.yaml", tree.make("notes/a").parent_path() / "within");
  fs::create_symlink(tree.root / "config", tree.root / "notes/absolute");
  fs::create_symlink("nothing", tree.root / "notes/dangling");
  fs::create_directory_symlink(tree.dir / "in", tree.root / "notes/out");
  fs::create_symlink("../../in/secret", tree.root / "notes/out-too");
  fs::create_symlink(tree.root.string() + "-neighbour", tree.root / "notes/out-by-a-hair");
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot);
  CHECK_FALSE(report.is_partial());
  std::set<std::string> told;
  for (const auto& note : report.notes) told.insert(note.path);
  CHECK(told == std::set<std::string>{"notes/out", "notes/out-by-a-hair", "notes/out-too"});
  CHECK(report.links == 6);
  CHECK(snapshot.at("notes/within").entry.link_target == "../config/system.yaml");
  CHECK(snapshot.at("notes/out").entry.link_target == (tree.dir / "in").string());
  CHECK_FALSE(snapshot.has("notes/out/secret"));
}

TEST_CASE("a folder of the layout, or a store, that is on another drive is in the snapshot as if it were in the tree") {
  Fixture tree;
  const fs::path shard = tree.dir / "shard/personas/alice";
  fs::create_directories(shard);
  io::replace_file(shard / "config.json", "{}");
  fs::remove(tree.root / "vectors/personas/alice");
  fs::create_directory_symlink(shard, tree.root / "vectors/personas/alice");
  fs::rename(tree.root / "models", tree.dir / "drive");
  fs::create_directory_symlink(tree.dir / "drive", tree.root / "models");
  io::replace_file(tree.dir / "drive/base/a", "weights");
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot);
  CHECK_FALSE(report.is_partial());
  CHECK(report.notes.empty());
  CHECK(snapshot.at("vectors/personas/alice").entry.type == EntryType::folder);
  CHECK(snapshot.at("vectors/personas/alice").entry.link_target == shard.string());
  CHECK(snapshot.at("vectors/personas/alice/config.json").bytes == "{}");
  CHECK(snapshot.at("models").entry.link_target == (tree.dir / "drive").string());
  CHECK(snapshot.at("models/base/a").bytes == "weights");
  CHECK(snapshot.at("vectors").entry.link_target.empty());
}

TEST_CASE("a store whose drive is not mounted is missed, and the snapshot takes no sound one's place") {
  Fixture tree;
  fs::remove(tree.root / "vectors/personas/alice");
  fs::create_directory_symlink(tree.dir / "absent/personas/alice", tree.root / "vectors/personas/alice");
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot, 1);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].path == "vectors/personas/alice");
  CHECK(report.problems[0].what.find("absent/personas/alice") != std::string::npos);
  CHECK(snapshot.damaged.contains("vectors/personas/alice"));
  CHECK(snapshot.at("vectors/personas/alice").entry.type == EntryType::link);
}

TEST_CASE("pipes, sockets and destinations of backups are left out, and pipes are told") {
  Fixture tree;
  REQUIRE(::mkfifo((tree.root / "notes-pipe").c_str(), 0600) == 0);
  tree.make("backup/tier1/pack", "of the store itself");
  CaptureOptions options;
  options.never = {tree.root / "backup/tier1", tree.root / "absent"};
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot, 3, options);
  CHECK_FALSE(report.is_partial());
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0].what.find("pipe") != std::string::npos);
  CHECK(snapshot.has("backup"));
  CHECK_FALSE(snapshot.has("backup/tier1"));
  CHECK_FALSE(snapshot.has("notes-pipe"));
}

TEST_CASE("a file that changes while it is read is read again") {
  Fixture tree;
  const fs::path file = tree.make("notes/a", std::string(200'000, 'a'));
  Fixture::settle();
  MemorySnapshot snapshot;
  int reads = 0;
  snapshot.halfway = [&](const std::string& path) {
    if (path == "notes/a" && ++reads == 1) std::ofstream(file, std::ios::binary) << std::string(300'000, 'b');
  };
  const CaptureReport report = tree.run(snapshot);
  CHECK(reads == 2);
  CHECK_FALSE(report.is_partial());
  CHECK_UNARY(snapshot.at("notes/a").bytes == std::string(300'000, 'b'));
  CHECK(snapshot.at("notes/a").entry.size_bytes == 300'000);
}

TEST_CASE("one that changes each time is taken as it is, named, and read again by the next run") {
  Fixture tree;
  const fs::path file = tree.make("notes/a", std::string(200'000, 'a'));
  Fixture::settle();
  MemorySnapshot snapshot;
  int reads = 0;
  snapshot.halfway = [&](const std::string& path) {
    if (path != "notes/a") return;
    ++reads;
    std::ofstream(file, std::ios::binary | std::ios::trunc) << std::string(200'000, static_cast<char>('a' + reads));
    Fixture::settle();
  };
  const CaptureReport report = tree.run(snapshot);
  CHECK(reads == 4);
  CHECK(report.is_partial());
  CHECK(report.changed == std::vector<std::string>{"notes/a"});
  CHECK(snapshot.changed.contains("notes/a"));
  CHECK(snapshot.damaged.empty());
  CHECK(snapshot.at("notes/a").bytes.size() == 200'000);
  CHECK(snapshot.at("notes/a").entry.state.empty());
}

TEST_CASE("a file that vanishes before it is opened is not there, without a word") {
  Fixture tree;
  tree.make("notes/a");
  tree.make("notes/b");
  MemorySnapshot snapshot;
  snapshot.before_put = [&](const std::string& path) {
    if (path == "notes/a") fs::remove(tree.root / "notes/b");
  };
  const CaptureReport report = tree.run(snapshot);
  CHECK_FALSE(report.is_partial());
  CHECK_FALSE(snapshot.has("notes/b"));
}

TEST_CASE("a folder that is replaced by a link meanwhile is not followed") {
  Fixture tree;
  tree.write("secret", "not of the tree");
  tree.make("notes/a");
  tree.make("notes/deep/secret", "of the tree");
  MemorySnapshot snapshot;
  snapshot.before_put = [&](const std::string& path) {
    if (path != "notes/a") return;
    fs::remove_all(tree.root / "notes/deep");
    fs::create_directory_symlink(tree.dir / "in", tree.root / "notes/deep");
  };
  tree.run(snapshot);
  CHECK_FALSE(snapshot.has("notes/deep/secret"));
}

TEST_CASE("what must not be read is named, and the rest is in the snapshot") {
  Fixture tree;
  tree.make("notes/a");
  ::chmod(tree.make("notes/b").c_str(), 0);
  tree.make("notes/c/d");
  ::chmod((tree.root / "notes/c").c_str(), 0);
  tree.make("notes/e");
  REQUIRE(std::system(("chown -R 65534:65534 " + tree.dir.path().string()).c_str()) == 0);
  const int status = test::run_child([&] {
    // As root all may be read.
    if (::geteuid() == 0 && (::setegid(65534) != 0 || ::seteuid(65534) != 0)) return 3;
    const auto own = tree::Tree::open(tree.root);
    MemorySnapshot snapshot;
    const CaptureReport report = capture(own, 1, snapshot, {}, no_progress());
    std::set<std::string> named;
    for (const auto& problem : report.problems) named.insert(problem.path);
    if (!named.contains("notes/b") || !named.contains("notes/c")) return 1;
    return snapshot.has("notes/a") && snapshot.has("notes/e") && !snapshot.has("notes/b") &&
                   snapshot.damaged.contains("notes/b")
               ? 0
               : 2;
  });
  CHECK(status == 0);
}

TEST_CASE("a failure of the store that is written to ends the run") {
  Fixture tree;
  tree.make("notes/a", std::string(100, 'a'));
  MemorySnapshot snapshot;
  SUBCASE("before it reads") {
    snapshot.before_put = [](const std::string& path) {
      if (path == "notes/a") throw Error(Errc::failed, "the disk is full");
    };
  }
  SUBCASE("while it reads") {
    snapshot.halfway = [](const std::string& path) {
      if (path == "notes/a") throw Error(Errc::corrupt, "the store is damaged");
    };
  }
  CHECK_THROWS_WITH_AS(tree.run(snapshot), doctest::Contains("the "), Error);
}

TEST_CASE("folders far below one another are read without long paths, and beyond 256 told") {
  Fixture tree;
  io::UniqueFd at = io::open_file(tree.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::string name(200, 'd');
  for (int i = 0; i < 300; ++i) {
    REQUIRE(::mkdirat(at.get(), name.c_str(), 0755) == 0);
    at.reset(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (i == 100) io::UniqueFd(::openat(at.get(), "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  }
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot);
  CHECK(report.problems.size() == 1);
  CHECK(std::any_of(snapshot.order.begin(), snapshot.order.end(),
                    [](const std::string& path) { return path.ends_with("d/file"); }));
  REQUIRE(std::system(("rm -rf " + tree.root.string()).c_str()) == 0);  // which fs::remove_all cannot
}

}  // namespace
}  // namespace reef::backup
