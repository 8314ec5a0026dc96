#include "reef/backup/dated_folders.h"

#include <doctest/doctest.h>
#include <linux/fs.h>
#include <sqlite3.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>

#include "reef/backup/target_folder.h"
#include "reef/core/error.h"
#include "support/folder_capture.h"
#include "support/temp_dir.h"

using namespace reef;
using namespace reef::backup;
using reef::test::FolderCapture;

namespace {

std::string read(const fs::path& path) { return io::read_file(path); }

void write(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

ino_t inode(const fs::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_ino;
}

/// Runs a command of the shell in `folder`; its status.
int shell(const fs::path& folder, const std::string& command) {
  const int status = std::system(("cd '" + folder.string() + "' && " + command).c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void flip(const fs::path& path, std::size_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
}

/// Writes within a file as a bad drive does: without a new time.
void flip_silently(const fs::path& path, std::size_t at) {
  const auto time = fs::last_write_time(path);
  flip(path, at);
  fs::last_write_time(path, time);
}

struct Fixture {
  test::TempDir dir;
  fs::path tree = dir / "tree";
  fs::path destination = dir / "destination";
  DatedFolders store{destination, {tree, {}, false, {}}};
  Time time = parse_time("2026-11-30T04:15:00.250Z");
  std::vector<std::string> opened;

  Fixture() {
    fs::create_directory(tree);
    fs::create_directory(destination);
  }
  Snapshot back_up() {
    auto writer = store.begin(time, no_progress());
    opened = FolderCapture(tree, *writer).run();
    time += std::chrono::hours(24);
    return writer->commit();
  }
  fs::path at(const Snapshot& snapshot) const { return destination / snapshot.id; }
  fs::path at(const Snapshot& snapshot, const std::string& path) const { return at(snapshot) / "tree" / path; }
  /// Restores into a new folder.
  fs::path restored(const std::string& id, const Selection& selection = {}) {
    const fs::path folder = dir / ("restored" + std::to_string(++restored_));
    TargetFolder target(folder);
    store.read(id, selection, target, no_progress());
    target.finish();
    return folder;
  }
  bool is_same(const fs::path& one, const fs::path& other) const {
    // Names, types, modes, owners, times, link targets and content.
    const std::string list =
        "find . -printf '%P %y %m %U %G %s %T@ %l\\n' | sed -E 's/ d ([0-9]+ [0-9]+ [0-9]+) [0-9]+ / d \\1 /' | sort";
    return shell(dir.path(), "bash -c '(cd \"" + one.string() + "\" && " + "true)'") == 0 &&
           shell(one, list + " > '" + (dir / "one").string() + "'") == 0 &&
           shell(other, list + " > '" + (dir / "other").string() + "'") == 0 &&
           read(dir / "one") == read(dir / "other") &&
           shell(dir.path(), "diff -r --no-dereference '" + one.string() + "' '" + other.string() + "'") == 0;
  }
  VerifyReport verify(double sample = 1) { return store.verify({{}, sample, 2}, no_progress()); }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(destination), fs::directory_iterator()));
  }

 private:
  int restored_ = 0;
};

void fill(const fs::path& tree) {
  write(tree / "config/system.yaml", "a: 1\n");
  write(tree / "data/empty", "");
  write(tree / "data/large.npy", std::string(9 << 20, 'v') + "end");
  write(tree / "data/name with spaces", "s");
  write(tree / "data/new\nline \\ and\rmore", "n");
  write(tree / "data/not-utf8-\xff\xfe", "u");
  write(tree / "data/#=*?[]~", "g");
  fs::create_directories(tree / "data/memories/alice");
  fs::create_symlink("../nowhere\n", tree / "data/dangling");
  fs::create_directory_symlink("/etc", tree / "data/out of the tree");
  write(tree / "data/first", "linked");
  fs::create_hard_link(tree / "data/first", tree / "data/second");
  const fs::path sparse = tree / "data/sparse";
  write(sparse, "begin");
  fs::resize_file(sparse, 64 << 20);
  fs::permissions(tree / "config", fs::perms(02750));
  fs::permissions(tree / "data/first", fs::perms(0600));
  fs::permissions(tree / "data/memories", fs::perms(0500));
}

}  // namespace

TEST_CASE("dated folders: what was put is restored by reef and by cp -a, and sha256sum agrees") {
  Fixture fixture;
  fill(fixture.tree);
  const Snapshot snapshot = fixture.back_up();
  CHECK(snapshot.id == "2026-11-30T041500Z");
  CHECK(snapshot.files == 10);
  CHECK(snapshot.size_bytes == (9U << 20) + 3 + 5 + 4 + 6 + (64U << 20));
  CHECK(shell(fixture.at(snapshot), "sha256sum --strict --quiet -c SHA256SUMS") == 0);
  CHECK(shell(fixture.dir.path(), "cp -a destination/" + snapshot.id + "/tree copied") == 0);
  CHECK(fixture.is_same(fixture.tree, fixture.dir / "copied"));
  CHECK(fixture.is_same(fixture.tree, fixture.restored(snapshot.id)));
  CHECK(inode(fixture.dir / "copied/data/first") == inode(fixture.dir / "copied/data/second"));
  CHECK(inode(fixture.dir / "restored1/data/first") == inode(fixture.dir / "restored1/data/second"));
  struct stat status {};
  REQUIRE(::stat(fixture.at(snapshot, "data/sparse").c_str(), &status) == 0);
  CHECK(status.st_blocks * 512 < 1 << 20);
  CHECK(fixture.verify().faults.empty());
  // sha256sum sees what was changed.
  flip(fixture.at(snapshot, "data/new\nline \\ and\rmore"), 0);
  CHECK(shell(fixture.at(snapshot), "sha256sum --quiet -c SHA256SUMS >/dev/null 2>&1") != 0);
}

TEST_CASE("dated folders: the list of entries is one that bsdtar reads") {
  Fixture fixture;
  fill(fixture.tree);
  const Snapshot snapshot = fixture.back_up();
  if (shell("/", "command -v bsdtar >/dev/null") != 0) return;
  CHECK(shell(fixture.at(snapshot, ""), "bsdtar -tf ../tree.mtree >/dev/null") == 0);
}

TEST_CASE("dated folders: sqlite3 opens the databases of a snapshot") {
  Fixture fixture;
  fs::create_directories(fixture.tree / "data");
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open((fixture.tree / "data/conversations.sqlite").c_str(), &database) == SQLITE_OK);
  REQUIRE(sqlite3_exec(database, "CREATE TABLE t(a); INSERT INTO t VALUES(1),(2)", nullptr, nullptr, nullptr) ==
          SQLITE_OK);
  sqlite3_close(database);
  const Snapshot snapshot = fixture.back_up();
  if (shell("/", "command -v sqlite3 >/dev/null") != 0) return;
  CHECK(shell(fixture.at(snapshot, "data"),
              "test \"$(sqlite3 conversations.sqlite 'SELECT count(*) FROM t; PRAGMA integrity_check')\" = '2\nok'") ==
        0);
}

TEST_CASE("dated folders: what did not change is linked, not opened, and its digest taken over") {
  Fixture fixture;
  fill(fixture.tree);
  const Snapshot first = fixture.back_up();
  CHECK(first.added_bytes == first.size_bytes);
  const Snapshot second = fixture.back_up();
  CHECK(fixture.opened.empty());
  CHECK(second.added_bytes == 0);
  CHECK(second.size_bytes == first.size_bytes);
  CHECK(inode(fixture.at(first, "data/large.npy")) == inode(fixture.at(second, "data/large.npy")));
  CHECK(inode(fixture.at(second, "data/first")) == inode(fixture.at(second, "data/second")));
  CHECK(shell(fixture.at(second), "sha256sum --strict --quiet -c SHA256SUMS") == 0);
  CHECK(fixture.is_same(fixture.tree, fixture.restored(second.id)));
  const VerifyReport report = fixture.verify();
  CHECK(report.faults.empty());
  CHECK(report.snapshots == 2);
  CHECK(report.files == 9);  // each once
  CHECK(fixture.store.entries(second.id).size() == fixture.store.entries(first.id).size());
}

TEST_CASE("dated folders: an older snapshot keeps its modes, times and content whatever changes later") {
  Fixture fixture;
  fill(fixture.tree);
  REQUIRE(shell(fixture.dir.path(), "cp -a tree before") == 0);
  const Snapshot first = fixture.back_up();
  fs::permissions(fixture.tree / "config/system.yaml", fs::perms(0600));  // the state stays
  fs::last_write_time(fixture.tree / "data/large.npy", fs::file_time_type::clock::now());
  write(fixture.tree / "data/name with spaces", "other");
  fs::remove(fixture.tree / "data/empty");
  fs::create_directory(fixture.tree / "data/empty");
  fs::remove_all(fixture.tree / "data/memories");
  write(fixture.tree / "data/memories", "a file now");
  fs::remove(fixture.tree / "data/second");
  write(fixture.tree / "data/second", "linked");
  const Snapshot second = fixture.back_up();
  CHECK(fixture.is_same(fixture.dir / "before", fixture.restored(first.id)));
  CHECK(fixture.is_same(fixture.tree, fixture.restored(second.id)));
  CHECK(inode(fixture.at(second, "config/system.yaml")) != inode(fixture.at(first, "config/system.yaml")));
  CHECK(inode(fixture.at(second, "data/sparse")) == inode(fixture.at(first, "data/sparse")));
  CHECK(fixture.verify().faults.empty());
}

TEST_CASE("dated folders: ids ascend when the clock goes back, and within a second") {
  Fixture fixture;
  write(fixture.tree / "file", "x");
  std::vector<std::string> ids;
  for (const char* time : {"2026-11-30T04:15:00Z", "2026-11-30T04:15:00.9Z", "2020-01-01", "2026-12-31T23:59:59Z"}) {
    fixture.time = parse_time(time);
    ids.push_back(fixture.back_up().id);
  }
  CHECK(ids == std::vector<std::string>{"2026-11-30T041500Z", "2026-11-30T041501Z", "2026-11-30T041502Z",
                                        "2026-12-31T235959Z"});
  const auto list = fixture.store.list();
  REQUIRE(list.size() == 4);
  for (std::size_t i = 0; i < list.size(); ++i) CHECK(list[i].id == ids[i]);
  CHECK(list[2].taken == parse_time("2020-01-01"));
}

TEST_CASE("dated folders: without a commit nothing stays, and what killed runs left is removed") {
  Fixture fixture;
  fill(fixture.tree);
  const Snapshot snapshot = fixture.back_up();
  const std::size_t entries = fixture.entries();
  {
    auto writer = fixture.store.begin(fixture.time, no_progress());
    FolderCapture(fixture.tree, *writer).run();
    CHECK(fixture.entries() == entries + 1);
    CHECK(fixture.store.list().size() == 1);
  }
  CHECK(fixture.entries() == entries);
  REQUIRE(shell(fixture.destination, "cp -a " + snapshot.id + " ." + snapshot.id + ".abcdef.tmp") == 0);
  fixture.back_up();
  CHECK(fixture.entries() == entries + 1);
  CHECK(fixture.store.list().size() == 2);
}

TEST_CASE("dated folders: a writer holds the lock, readers need none") {
  Fixture fixture;
  write(fixture.tree / "file", "x");
  const Snapshot snapshot = fixture.back_up();
  const auto writer = fixture.store.begin(fixture.time, no_progress());
  for (const auto& call : std::vector<std::function<void()>>{
           [&] { fixture.store.begin(fixture.time, no_progress()); },
           [&] { fixture.store.prune(Retention::parse({"last 1"}), fixture.time, false); }}) {
    try {
      call();
      FAIL("two at once");
    } catch (const Error& error) {
      CHECK(error.code() == Errc::locked);
    }
  }
  CHECK(fixture.store.list().size() == 1);
  CHECK(read(fixture.restored(snapshot.id) / "file") == "x");
  CHECK(fixture.verify().faults.empty());
}

TEST_CASE("dated folders: a snapshot of damaged files is damaged from its beginning, though all of it can be read") {
  Fixture fixture;
  write(fixture.tree / "file", "x");
  fixture.back_up();
  fixture.verify();
  auto writer = fixture.store.begin(fixture.time, no_progress());
  FolderCapture(fixture.tree, *writer).run();
  writer->note_damaged("file", "it is no database");
  CHECK(writer->commit().damaged);
  writer.reset();
  CHECK(fixture.verify().faults.empty());
  const auto list = fixture.store.list();
  CHECK_FALSE(list[0].damaged);
  CHECK(list[1].damaged);
  const PruneReport report = fixture.store.prune(Retention::parse({"last 1"}), fixture.time, false);
  CHECK(report.removed.empty());
}

TEST_CASE("dated folders: killed at any moment, a run leaves whole snapshots, and the next one goes on") {
  Fixture fixture;
  fill(fixture.tree);
  fixture.back_up();
  std::size_t before = 1;
  std::size_t killed_early = 0;
  for (int i = 0; i < 40; ++i) {
    write(fixture.tree / "data/large.npy", std::string(5 << 20, static_cast<char>('a' + i % 26)));
    const pid_t child = ::fork();
    if (child == 0) {
      fixture.back_up();
      ::_exit(0);
    }
    ::usleep(static_cast<useconds_t>(i * 1500));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::size_t after = fixture.store.list().size();
    CHECK((after == before || after == before + 1));
    killed_early += after == before ? 1 : 0;
    before = after;
    fixture.time += std::chrono::hours(24);
  }
  MESSAGE(killed_early << " of 40 runs were killed before they had ended");
  const Snapshot last = fixture.back_up();
  CHECK(fixture.store.list().size() == before + 1);
  CHECK(fixture.verify().faults.empty());
  CHECK(fixture.is_same(fixture.tree, fixture.restored(last.id)));
  for (const auto& entry : fs::directory_iterator(fixture.destination))
    CHECK_FALSE(io::is_temporary_name(entry.path().filename().native()));
}

namespace {

/// Fails where it is told to.
class FailingContent : public Content {
 public:
  enum class Where { first_read, last_read, changed, finish };
  explicit FailingContent(Where where) : where_(where) {}
  std::uint64_t size_bytes() const override { return 6 << 20; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    if (where_ == Where::first_read || (where_ == Where::last_read && offset + into.size() == size_bytes()))
      throw Error(Errc::failed, "input/output error");
    std::fill(into.begin(), into.end(), std::uint8_t{7});
  }
  Counts finish() override {
    if (where_ == Where::changed) throw Changed();
    throw Error(Errc::failed, "finish");
  }

 private:
  Where where_;
};

}  // namespace

TEST_CASE("dated folders: an entry whose content fails is as if it had not been put, and may be put again") {
  Fixture fixture;
  write(fixture.tree / "file", "x");
  auto writer = fixture.store.begin(fixture.time, no_progress());
  Entry root = FolderCapture::entry_of(fixture.tree, "");
  writer->put(root, nullptr);
  Entry entry = FolderCapture::entry_of(fixture.tree, "file");
  using Where = FailingContent::Where;
  for (const Where where : {Where::first_read, Where::last_read, Where::finish}) {
    FailingContent content(where);
    CHECK_THROWS_AS(writer->put(entry, &content), Error);
  }
  FailingContent content(Where::changed);
  CHECK_THROWS_AS(writer->put(entry, &content), Changed);
  Entry second = entry;
  second.path = "second";
  CHECK_THROWS_AS(writer->put(second, &content), Changed);
  test::DiskContent good(fixture.tree / "file");
  writer->put(entry, &good);
  writer->note_changed("file\n\xff");
  const Snapshot snapshot = writer->commit();
  CHECK(fixture.store.entries(snapshot.id).size() == 2);
  CHECK(fixture.store.entries(snapshot.id)[1].second == Counts{{"rows", 1}});
  CHECK(fixture.store.list()[0].changed == std::vector<std::string>{"file\n\xff"});
  CHECK(read(fixture.at(snapshot, "file")) == "x");
  CHECK_FALSE(fs::exists(fixture.at(snapshot, "second")));
  CHECK(fixture.verify().faults.empty());
}

TEST_CASE("dated folders: a selection restores its paths, the folders above, and links by whatever name is left") {
  Fixture fixture;
  fill(fixture.tree);
  const Snapshot snapshot = fixture.back_up();
  const fs::path folder = fixture.restored(snapshot.id, {{"data/second", "data/memories"}});
  CHECK(read(folder / "data/second") == "linked");
  CHECK(fs::is_directory(folder / "data/memories/alice"));
  CHECK_FALSE(fs::exists(folder / "data/first"));
  CHECK_FALSE(fs::exists(folder / "config"));
  CHECK_THROWS_AS(fixture.restored("2020-01-01T000000Z"), Error);
  CHECK_THROWS_AS(fixture.restored("../tree"), Error);
}

TEST_CASE("dated folders: a flipped bit in a file that snapshots share names them all, and is healed by the next run") {
  Fixture fixture;
  fill(fixture.tree);
  const Snapshot first = fixture.back_up();
  const Snapshot second = fixture.back_up();
  write(fixture.tree / "data/large.npy", "new");
  const Snapshot third = fixture.back_up();
  for (const char* path : {"data/large.npy", "data/first", "config/system.yaml"})
    flip_silently(fixture.at(second, path), 2);

  const VerifyReport report = fixture.verify();
  REQUIRE(report.faults.size() == 3);
  for (const Fault& fault : report.faults) {
    const bool is_large = fault.paths.front() == "data/large.npy";
    CHECK(fault.snapshots ==
          (is_large ? std::vector{first.id, second.id} : std::vector{first.id, second.id, third.id}));
    if (fault.paths.front() == "data/first")
      CHECK(fault.paths == std::vector<std::string>{"data/first", "data/second"});
    CHECK(fault.file.starts_with(first.id + "/tree/"));
  }
  for (const Snapshot& snapshot : fixture.store.list()) CHECK(snapshot.damaged);

  // The rest is read where asked, and the whole is refused where not.
  CHECK_THROWS_AS(fixture.restored(third.id), Error);
  std::set<std::string> damaged;
  {
    TargetFolder target(fixture.dir / "rest");
    fixture.store.read(third.id, {}, target, no_progress(),
                       [&](const std::string& path, const std::string&) { damaged.insert(path); });
    target.finish();
  }
  CHECK(damaged == std::set<std::string>{"config/system.yaml", "data/first", "data/second"});
  CHECK(read(fixture.dir / "rest/data/large.npy") == "new");
  CHECK_FALSE(fs::exists(fixture.dir / "rest/data/first"));

  const Snapshot fourth = fixture.back_up();
  CHECK(std::set<std::string>(fixture.opened.begin(), fixture.opened.end()) ==
        std::set<std::string>{"config/system.yaml", "data/first"});
  CHECK(fixture.is_same(fixture.tree, fixture.restored(fourth.id)));
  CHECK(fixture.store.verify({fourth.id, 1, 1}, no_progress()).faults.empty());
  CHECK_FALSE(fixture.store.list()[3].damaged);
  CHECK(fixture.store.list()[3].verified);
}

TEST_CASE("dated folders: a file in a snapshot that somebody wrote to is not linked") {
  Fixture fixture;
  write(fixture.tree / "a", "aaaa");
  write(fixture.tree / "b", "bbbb");
  for (const char* name : {"a", "b"})
    fs::last_write_time(fixture.tree / name, fs::file_time_type::clock::now() - std::chrono::hours(1));
  const Snapshot first = fixture.back_up();
  flip(fixture.at(first, "a"), 0);
  fs::resize_file(fixture.at(first, "b"), 3);
  const Snapshot second = fixture.back_up();
  CHECK(fixture.opened == std::vector<std::string>{"a", "b"});
  CHECK(fixture.store.verify({second.id, 1, 1}, no_progress()).faults.empty());
}

TEST_CASE("dated folders: each flipped bit of what describes a snapshot is found, named, and leaves the others") {
  Fixture fixture;
  write(fixture.tree / "config/a\nb", "aaaa");
  fs::create_symlink("target", fixture.tree / "link");
  const Snapshot first = fixture.back_up();
  const Snapshot second = fixture.back_up();
  for (const char* part : {"snapshot.json", "tree.mtree", "SHA256SUMS"}) {
    const fs::path path = fixture.at(first) / part;
    const std::string good = read(path);
    for (std::size_t at = 0; at < good.size(); ++at) {
      CAPTURE(part);
      CAPTURE(at);
      flip(path, at);
      const VerifyReport report = fixture.verify();
      REQUIRE(report.faults.size() >= 1);
      CHECK(report.faults[0].file == first.id + "/" + part);
      CHECK(report.faults[0].snapshots == std::vector{first.id});
      CHECK(fixture.store.list()[0].damaged);
      CHECK_FALSE(fixture.store.list()[1].damaged);
      flip(path, at);
    }
    CHECK(read(path) == good);
    fs::rename(path, fixture.dir / "away");
    CHECK(fixture.verify().faults[0].file == first.id + "/" + part);
    if (part != std::string("SHA256SUMS")) CHECK_THROWS_AS(fixture.restored(first.id), Error);
    CHECK(fixture.is_same(fixture.tree, fixture.restored(second.id)));
    fs::rename(fixture.dir / "away", path);
  }
  CHECK(fixture.verify().faults.empty());
  CHECK_FALSE(fixture.store.list()[0].damaged);
}

TEST_CASE("dated folders: what is missing or of another kind is found without reading") {
  Fixture fixture;
  write(fixture.tree / "config/file", "aaaa");
  write(fixture.tree / "gone", "aaaa");
  fs::create_symlink("target", fixture.tree / "link");
  const Snapshot snapshot = fixture.back_up();
  fs::remove(fixture.at(snapshot, "gone"));
  fs::remove(fixture.at(snapshot, "link"));
  fs::create_symlink("tarGet", fixture.at(snapshot, "link"));
  fs::remove_all(fixture.at(snapshot, "config"));
  fs::create_directory_symlink("/etc", fixture.at(snapshot, "config"));
  std::set<std::string> files;
  for (const Fault& fault : fixture.verify(.01).faults) files.insert(fault.file);
  const std::string start = snapshot.id + "/tree/";
  CHECK(files == std::set{start + "config", start + "config/file", start + "gone", start + "link"});
  std::set<std::string> damaged;
  TargetFolder target(fixture.dir / "rest");
  fixture.store.read(snapshot.id, {}, target, no_progress(),
                     [&](const std::string& path, const std::string&) { damaged.insert(path); });
  CHECK(damaged == std::set<std::string>{"config/file", "gone"});
  CHECK(fs::read_symlink(fixture.dir / "rest/link") == "target");
}

TEST_CASE("dated folders: a sample reads a part, and does not make a snapshot verified") {
  Fixture fixture;
  for (int i = 0; i < 100; ++i) write(fixture.tree / std::to_string(i), std::string(10'000, 'x'));
  fixture.back_up();
  const VerifyReport report = fixture.verify(.1);
  CHECK(report.files == 10);
  CHECK(report.bytes == 100'000);
  CHECK_FALSE(fixture.store.list()[0].verified);
  fixture.verify();
  CHECK(fixture.store.list()[0].verified);
}

TEST_CASE("dated folders: prune removes whole folders, tells what it frees, and a dry run changes nothing") {
  Fixture fixture;
  write(fixture.tree / "old", std::string(1 << 20, 'o'));
  write(fixture.tree / "both", std::string(1 << 20, 'b'));
  fs::create_directory(fixture.tree / "closed");
  write(fixture.tree / "closed/file", "x");
  fs::permissions(fixture.tree / "closed", fs::perms(0500));
  const Snapshot first = fixture.back_up();
  fs::remove(fixture.tree / "old");
  const Snapshot second = fixture.back_up();
  fixture.verify();
  const Retention last = Retention::parse({"last 1"});
  const PruneReport plan = fixture.store.prune(last, fixture.time, true);
  REQUIRE(plan.removed.size() == 1);
  CHECK(plan.removed[0].id == first.id);
  CHECK(plan.freed_bytes >= 1 << 20);
  CHECK(plan.freed_bytes < 2 << 20);
  CHECK(fixture.store.list().size() == 2);
  const PruneReport report = fixture.store.prune(last, fixture.time, false);
  CHECK(report.freed_bytes == plan.freed_bytes);
  CHECK(report.stayed.size() == 1);
  CHECK(fixture.store.list().size() == 1);
  CHECK(fixture.entries() == 4);  // marker, lock, snapshot, its check
  CHECK(fixture.is_same(fixture.tree, fixture.restored(second.id)));
}

TEST_CASE("dated folders: a snapshot with a damaged list is not built upon, and the next one is whole") {
  Fixture fixture;
  fill(fixture.tree);
  const Snapshot first = fixture.back_up();
  const Snapshot second = fixture.back_up();
  flip(fixture.at(second) / "tree.mtree", 30);
  const Snapshot third = fixture.back_up();
  CHECK(fixture.opened.empty());  // the first one serves
  CHECK(inode(fixture.at(first, "data/sparse")) == inode(fixture.at(third, "data/sparse")));
  CHECK(fixture.is_same(fixture.tree, fixture.restored(third.id)));
}

namespace {

/// A small filesystem of its own, for root; without it is_mounted() is false, and the test has nothing to say.
class SmallDrive {
 public:
  SmallDrive(fs::path folder, const char* options)
      : folder_(std::move(folder)), mounted_(::mount("tmpfs", folder_.c_str(), "tmpfs", 0, options) == 0) {}
  SmallDrive(const SmallDrive&) = delete;
  SmallDrive& operator=(const SmallDrive&) = delete;
  ~SmallDrive() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  bool is_mounted() const { return mounted_; }
  void make_read_only() const { REQUIRE(::mount("", folder_.c_str(), "", MS_REMOUNT | MS_RDONLY, "") == 0); }

 private:
  fs::path folder_;
  bool mounted_;
};

Errc code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("nothing was thrown");
  return Errc::usage;
}

}  // namespace

TEST_CASE("dated folders: a full drive keeps what it has, and room is made without any") {
  Fixture fixture;
  const SmallDrive drive(fixture.destination, "size=12m");
  if (!drive.is_mounted()) return;
  for (int i = 0; i < 40; ++i)
    write(fixture.tree / std::to_string(i), std::string(100'000, static_cast<char>('a' + i % 26)));
  const Snapshot first = fixture.back_up();
  write(fixture.tree / "1", std::string(100'000, 'z'));
  const Snapshot second = fixture.back_up();
  const std::size_t entries = fixture.entries();
  for (int i = 100; i < 200; ++i) write(fixture.tree / std::to_string(i), std::string(100'000, 'x'));
  CHECK(code_of([&] { fixture.back_up(); }) == Errc::failed);
  CHECK(fixture.entries() == entries);
  CHECK(fixture.store.list().size() == 2);
  // The large file is refused before it is begun: the drive is too small for it.
  write(fixture.tree / "0", std::string(80 << 20, 'x'));
  CHECK(code_of([&] { fixture.back_up(); }) == Errc::failed);
  CHECK(fixture.verify().faults.empty());

  CHECK(shell(fixture.destination, "head -c 20m /dev/zero >filler 2>/dev/null") != 0);
  const PruneReport report = fixture.store.prune(Retention::parse({"last 1"}), fixture.time, false);
  CHECK(report.removed.size() == 1);
  CHECK(fixture.store.list().size() == 1);
  CHECK(read(fixture.restored(second.id) / "1") == std::string(100'000, 'z'));
}

TEST_CASE("dated folders: a drive that is only read is listed, verified and restored from") {
  Fixture fixture;
  const SmallDrive drive(fixture.destination, "size=64m");
  if (!drive.is_mounted()) return;
  write(fixture.tree / "config/file", "aaaa");
  const Snapshot snapshot = fixture.back_up();
  drive.make_read_only();
  CHECK(fixture.store.list().size() == 1);
  CHECK(fixture.verify().faults.empty());
  CHECK(fixture.is_same(fixture.tree, fixture.restored(snapshot.id)));
  CHECK(code_of([&] { fixture.back_up(); }) == Errc::failed);
}

TEST_CASE("dated folders: where links are refused, files are copied") {
  Fixture fixture;
  write(fixture.tree / "a", "aaaa");
  write(fixture.tree / "b", "bbbb");
  const Snapshot first = fixture.back_up();
  const io::UniqueFd fd = io::open_file(fixture.at(first, "a"), O_RDONLY);
  int flags = FS_IMMUTABLE_FL;  // link(2) then says EPERM, as on FAT
  if (::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) != 0) return;
  const Snapshot second = fixture.back_up();
  flags = 0;
  CHECK(::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) == 0);
  CHECK(fixture.opened == std::vector<std::string>{"a", "b"});
  CHECK(second.added_bytes == 8);
  CHECK(fixture.is_same(fixture.tree, fixture.restored(second.id)));
  CHECK(fixture.verify().faults.empty());
}
