#include "reef/recover/replace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"
#include "reef/io/lease.h"
#include "reef/recover/internal/remove_tree.h"
#include "reef/recover/internal/restore_journal.h"
#include "reef/recover/internal/rows_step.h"
#include "reef/tree/folders.h"

namespace reef::recover {
namespace {

namespace fs = std::filesystem;
using internal::Journal;

constexpr const char* kFolder = ".restore";

fs::path main_staging(const tree::Tree& tree) { return fs::absolute(tree.backups()) / kFolder; }
/// Backups of the tree take nothing of its folder along.
fs::path lock_file(const tree::Tree& tree) {
  tree::make_folders(tree.backups());
  return tree.backups() / ".restore.lock";
}

std::optional<struct stat> status_of(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return status;
  if (errno != ENOENT && errno != ENOTDIR) throw_errno("stat", io::shown(path));
  return std::nullopt;
}

void remove_staging(const fs::path& folder) {
  if (!internal::remove_tree(folder)) log_warn("{} cannot be removed", io::shown(folder));
}

void exchange(const fs::path& staged, const fs::path& target) {
  if (::renameat2(AT_FDCWD, staged.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) throw_errno("exchange", io::shown(target));
  // The old one steps aside first; until the next line its name is not there, and the journal says what to do.
  fs::path aside = staged;
  aside += ".old";
  if (::rename(target.c_str(), aside.c_str()) != 0) throw_errno("rename", io::shown(target));
  if (::rename(staged.c_str(), target.c_str()) != 0) throw_errno("rename", io::shown(staged));
}

/// Brings one item into place, wherever an earlier attempt was ended.
void place(const Journal::Item& item) {
  const auto there = status_of(item.target);
  if (item.inode == 0) {
    if (there && ::rename(item.target.c_str(), item.staged.c_str()) != 0) throw_errno("rename", io::shown(item.target));
    return;
  }
  if (there && there->st_ino == item.inode) return;
  if (there) return exchange(item.staged, item.target);
  if (::rename(item.staged.c_str(), item.target.c_str()) != 0) throw_errno("rename", io::shown(item.staged));
}

/// Locks of the stores among the items that are there: whoever waits for one finds the new store's afterwards.
std::vector<io::LockFile> lock_stores(const Journal& journal, std::chrono::milliseconds wait) {
  std::vector<io::LockFile> locks;
  for (const Journal::Item& item : journal.items) {
    const fs::path file = item.target / ".lock";
    if (status_of(file)) locks.emplace_back(file, wait);
  }
  return locks;
}

void exchange_all(const Journal& journal) {
  std::set<fs::path> touched;
  for (const Journal::Item& item : journal.items) {
    place(item);
    touched.insert(item.target.parent_path());
    touched.insert(item.staged.parent_path());
  }
  for (const fs::path& folder : touched) io::sync_directory(folder);
}

/// What follows once all is in its place; no store is locked.
RowsMoved complete(const tree::Tree& tree, const Journal& journal) {
  RowsMoved moved;
  if (!journal.persona.empty()) {
    const bool turns = std::any_of(journal.items.begin(), journal.items.end(), [&](const Journal::Item& item) {
      std::error_code ignored;
      return item.inode != 0 && fs::equivalent(item.target, tree.turns(journal.persona), ignored);
    });
    moved = internal::bring_rows(tree, main_staging(tree) / "new", journal.persona, turns);
  }
  // The journal goes first: without it what is left is rubbish.
  const fs::path file = main_staging(tree) / internal::kJournalName;
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) throw_errno("remove", io::shown(file));
  io::sync_directory(main_staging(tree));
  for (const fs::path& folder : journal.stagings) remove_staging(folder);
  return moved;
}

/// What an earlier run left. The caller holds the lock.
bool finish_left(const tree::Tree& tree, std::chrono::milliseconds wait) {
  const fs::path folder = main_staging(tree);
  if (!status_of(folder)) return false;
  if (const auto journal = internal::read_journal(folder)) {
    log_warn("a restore was interrupted after it had decided: it is finished now");
    {
      const auto locks = lock_stores(*journal, wait);
      exchange_all(*journal);
    }
    complete(tree, *journal);
  }
  remove_staging(folder);
  return true;
}

}  // namespace

Replacement::Replacement(const tree::Tree& tree, std::chrono::milliseconds wait)
    : tree_(tree), wait_(wait), lock_(lock_file(tree), wait) {
  finish_left(tree_, wait);
  staging_for(main_staging(tree_));
}

Replacement::~Replacement() {
  if (committed_) return;
  ::unlink((main_staging(tree_) / internal::kJournalName).c_str());  // before what it speaks of
  for (const fs::path& folder : stagings_) {
    try {
      remove_staging(folder);
    } catch (...) {  // the next run removes it
    }
  }
}

fs::path Replacement::staging_for(const fs::path& target) {
  const auto beside = status_of(target.parent_path());
  if (!beside)
    throw Error(Errc::not_found, fmt::format("{} is not there", io::shown(target.parent_path())),
                "mount the drive that holds it, or run 'reef-init', which makes the folders that a tree lacks");
  for (const fs::path& folder : stagings_)
    if (const auto status = status_of(folder); status && status->st_dev == beside->st_dev) return folder / "new";
  const fs::path folder = target.parent_path() / kFolder;
  if (status_of(folder)) remove_staging(folder);  // of a run that had not committed
  if (::mkdir(folder.c_str(), 0700) != 0) throw_errno("create", io::shown(folder));
  stagings_.push_back(folder);
  if (::mkdir((folder / "new").c_str(), 0700) != 0) throw_errno("create", io::shown(folder / "new"));
  return folder / "new";
}

RowsMoved Replacement::commit(const std::vector<Item>& items, const std::string& persona) {
  Journal journal;
  journal.persona = persona;
  for (const Item& item : items) {
    const auto staged = status_of(item.staged);
    if (!staged && !status_of(item.target)) continue;
    const fs::path gone = staging_for(item.target) / fmt::format(".gone-{}", journal.items.size());
    journal.items.push_back({staged ? staged->st_ino : 0, staged ? item.staged : gone, item.target});
  }
  if (journal.items.empty() && persona.empty()) return {};
  journal.stagings = stagings_;
  {
    const auto locks = lock_stores(journal, wait_);
    internal::write_journal(main_staging(tree_), journal);
    committed_ = true;
    exchange_all(journal);
  }
  return complete(tree_, journal);
}

bool finish_interrupted(const tree::Tree& tree, std::chrono::milliseconds wait) {
  if (!status_of(main_staging(tree))) return false;
  const io::LockFile lock(lock_file(tree), wait);
  return finish_left(tree, wait);
}

void require_unused(const std::vector<fs::path>& databases) {
  for (const fs::path& database : databases) {
    if (!status_of(database)) continue;
    const io::ExclusiveLease lease(database);
    if (lease.state() == io::ExclusiveLease::State::in_use)
      throw Error(Errc::locked, fmt::format("{} is open in another process", io::shown(database)),
                  "stop what uses it ('fuser -v' names it), or let services.<persona>.stop in system.yaml do so");
    if (lease.state() == io::ExclusiveLease::State::unknown)
      log_warn("whether a process has {} open cannot be told: make sure that none has", io::shown(database));
  }
}

}  // namespace reef::recover
