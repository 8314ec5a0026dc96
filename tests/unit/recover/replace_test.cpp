#include "reef/recover/replace.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>

#include "reef/core/error.h"
#include "reef/io/sqlite.h"
#include "reef/recover/internal/restore_journal.h"
#include "support/temp_dir.h"

using namespace reef;
namespace fs = std::filesystem;
using recover::Item;
using recover::Replacement;

namespace {

struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "tree");
  Fixture() {
    fs::create_directories(tree.root() / "data/memories/alice");
    fs::create_directories(tree.root() / "config");
    write(tree.root() / "data/memories/alice/f", "old");
    write(tree.root() / "config/system.yaml", "old");
  }
  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  static std::string read(const fs::path& path) { return fs::exists(path) ? io::read_file(path) : "none"; }
  /// The folder and the file, and something that was not there before.
  std::string state() const {
    return read(tree.root() / "data/memories/alice/f") + " " + read(tree.root() / "config/system.yaml") + " " +
           read(tree.root() / "config/new.yaml");
  }
  fs::path staging() const { return tree.backups() / ".restore"; }
  std::vector<Item> stage(const fs::path& folder) const {
    fs::create_directories(folder / "data/memories/alice");
    fs::create_directories(folder / "config");
    write(folder / "data/memories/alice/f", "new");
    write(folder / "config/system.yaml", "new");
    write(folder / "config/new.yaml", "new");
    std::vector<Item> items;
    for (const char* path : {"data/memories/alice", "config/system.yaml", "config/new.yaml"})
      items.push_back({folder / path, fs::absolute(tree.root()) / path});
    return items;
  }
  recover::internal::Journal journal_of(const std::vector<Item>& items) const {
    recover::internal::Journal journal;
    journal.stagings = {staging()};
    for (const Item& item : items) {
      struct stat status {};
      REQUIRE(::lstat(item.staged.c_str(), &status) == 0);
      journal.items.push_back({status.st_ino, item.staged, item.target});
    }
    return journal;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "replacement: files and folders are exchanged, and nothing else is left") {
  {
    Replacement replacement(tree, {});
    const fs::path folder = replacement.staging_for(fs::absolute(tree.root()) / "config");
    CHECK(folder == staging() / "new");
    const auto items = stage(folder);
    CHECK(state() == "old old none");
    replacement.commit(items);
    CHECK(state() == "new new new");
  }
  CHECK_FALSE(fs::exists(staging()));
  CHECK_FALSE(recover::finish_interrupted(tree, {}));
}

TEST_CASE_FIXTURE(Fixture, "replacement: what is not committed leaves the tree as it was") {
  {
    Replacement replacement(tree, {});
    stage(replacement.staging_for(fs::absolute(tree.root()) / "config"));
  }
  CHECK(state() == "old old none");
  CHECK_FALSE(fs::exists(staging()));
  stage(staging() / "new");  // of a run that was killed
  CHECK(recover::finish_interrupted(tree, {}));
  CHECK(state() == "old old none");
  CHECK_FALSE(fs::exists(staging()));
}

TEST_CASE_FIXTURE(Fixture, "replacement: ended after any of its steps, the next run finishes it") {
  const auto items = stage(staging() / "new");
  const auto journal = journal_of(items);
  for (std::size_t done = 0; done <= items.size(); ++done) {
    CAPTURE(done);
    fs::remove_all(tree.root());
    fs::create_directories(tree.root() / "data/memories/alice");
    fs::create_directories(tree.root() / "config");
    write(tree.root() / "data/memories/alice/f", "old");
    write(tree.root() / "config/system.yaml", "old");
    const auto again = stage(staging() / "new");
    recover::internal::write_journal(staging(), journal_of(again));
    for (std::size_t i = 0; i < done; ++i) {
      const fs::path aside = again[i].staged.string() + ".old";
      if (fs::exists(again[i].target)) fs::rename(again[i].target, aside);
      fs::rename(again[i].staged, again[i].target);
      if (fs::exists(aside)) fs::rename(aside, again[i].staged);
    }
    CHECK(recover::finish_interrupted(tree, {}));
    CHECK(state() == "new new new");
    CHECK_FALSE(fs::exists(staging()));
  }
}

TEST_CASE_FIXTURE(Fixture, "replacement: ended between the two renames of a filesystem that cannot exchange") {
  const auto items = stage(staging() / "new");
  recover::internal::write_journal(staging(), journal_of(items));
  fs::rename(items[0].target, items[0].staged.string() + ".old");
  CHECK(recover::finish_interrupted(tree, {}));
  CHECK(state() == "new new new");
}

TEST_CASE_FIXTURE(Fixture, "replacement: what does not come any more is taken away") {
  {
    Replacement replacement(tree, {});
    const fs::path folder = replacement.staging_for(fs::absolute(tree.root()) / "config");
    replacement.commit({{folder / "config/system.yaml", fs::absolute(tree.root()) / "config/system.yaml"},
                        {folder / "never", fs::absolute(tree.root()) / "never"}});
  }
  CHECK(state() == "old none none");
}

TEST_CASE_FIXTURE(Fixture,
                  "replacement: a writer of a store that is to be replaced is waited for, then nothing is done") {
  const io::LockFile lock(tree.root() / "data/memories/alice/.lock");
  {
    Replacement replacement(tree, {});
    const auto items = stage(replacement.staging_for(fs::absolute(tree.root()) / "config"));
    CHECK_THROWS_AS(replacement.commit(items), const Error&);
  }
  CHECK(state() == "old old none");
  CHECK_FALSE(fs::exists(staging()));
}

TEST_CASE_FIXTURE(Fixture, "replacement: one at a time") {
  const Replacement first(tree, {});
  CHECK_THROWS_AS(Replacement(tree, {}), const Error&);
}

TEST_CASE_FIXTURE(Fixture, "replacement: a journal that was changed at any place is told, and nothing is touched") {
  const auto items = stage(staging() / "new");
  auto journal = journal_of(items);
  journal.items[0].staged = fs::path("/odd \xff%\n name");
  journal.persona = "alice";
  recover::internal::write_journal(staging(), journal);
  const auto read_back = recover::internal::read_journal(staging());
  REQUIRE(read_back);
  CHECK(read_back->items[0].staged == journal.items[0].staged);
  CHECK(read_back->items[1].inode == journal.items[1].inode);
  CHECK(read_back->items[2].target == journal.items[2].target);
  CHECK(read_back->persona == "alice");
  const std::string text = io::read_file(staging() / "journal");
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string broken = text;
    broken[at] = static_cast<char>(broken[at] ^ 1);
    write(staging() / "journal", broken);
    CAPTURE(at);
    CHECK_THROWS_AS(recover::internal::read_journal(staging()), const Error&);
    write(staging() / "journal", text.substr(0, at));
    CHECK_THROWS_AS(recover::internal::read_journal(staging()), const Error&);
  }
  CHECK_THROWS_AS(recover::finish_interrupted(tree, {}), const Error&);
  CHECK(state() == "old old none");
  CHECK(fs::exists(items[1].staged));
}

TEST_CASE_FIXTURE(Fixture, "a database that somebody has open is refused, one that is not there passed over") {
  const fs::path file = dir / "a.sqlite";
  { io::Database(file, io::OpenMode::create).execute("CREATE TABLE t(x)"); }
  CHECK_NOTHROW(recover::require_unused({file, dir / "none.sqlite"}));
  io::Database open(file, io::OpenMode::write);
  open.execute("SELECT * FROM t");
  CHECK_THROWS_AS(recover::require_unused({file}), const Error&);
}
