#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "reef/io/file.h"
#include "reef/tree/tree.h"

namespace reef::recover {

/// A file or folder that is to be put in the place of another.
struct Item {
  std::filesystem::path staged;  ///< the new one, in a folder of Replacement::staging_for(); absent: none comes
  std::filesystem::path target;  ///< absolute, with no link on the way
};

/// Rows of shared databases that a restore brought and took away.
struct RowsMoved {
  std::uint64_t came = 0, went = 0;
};

/// Puts staged items in the place of those that are there: all of them or none, once finish_interrupted() was called
/// where a run was ended.
///
///   data/backups/.restore.lock      held meanwhile
///   data/backups/.restore/new/      what is to come
///   data/backups/.restore/journal   written last, durably: from then on the new state counts
///   <folder>/.restore/new/          the same beside a target that is on another filesystem, as on a shard
///
/// The journal is text: "reef restore 1", a line "staging <folder>" for each such folder, a line
/// "item <inode> <staged> <target>" for each item, "rows <persona>" where rows of shared databases follow, and
/// "end <xxh3 of all before>". Paths are absolute, with blanks, '%' and all that is not printable ASCII as %XX. The
/// inode is that of what comes, 0 where nothing does. An item is exchanged with what is in its place in one call
/// (renameat2(2) with RENAME_EXCHANGE, two renames where a filesystem has none); the inode tells whether that was done.
/// What was there before goes with the staging folders at the end.
class Replacement {
 public:
  /// Takes the lock, finishes what an earlier run left, and makes the folder. Throws Error{locked} after `wait`.
  Replacement(const tree::Tree& tree, std::chrono::milliseconds wait);
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  /// Removes what was staged, unless it was committed.
  ~Replacement();

  /// The folder to stage in what goes to `target`: on the same filesystem, there, and ours alone.
  std::filesystem::path staging_for(const std::filesystem::path& target);

  /// Everything staged is durable already (TargetFolder::finish()). Once the journal is written the new state counts;
  /// then all is put in its place. `persona`: its rows of the shared databases follow, from copies that are staged in
  /// data/backups/.restore/new/ where they lie in the tree. Stores among the items are locked while they are exchanged.
  RowsMoved commit(const std::vector<Item>& items, const std::string& persona = {});

 private:
  tree::Tree tree_;
  std::chrono::milliseconds wait_;
  io::LockFile lock_;
  std::vector<std::filesystem::path> stagings_;
  bool committed_ = false;
};

/// Finishes what a run had committed and could not finish, and removes what one had not committed. False when there was
/// neither; a look at one name then. Throws Error{corrupt} for a journal that cannot be read, naming what to do by
/// hand.
bool finish_interrupted(const tree::Tree& tree, std::chrono::milliseconds wait);

/// Throws Error{locked} for the first of the databases that a process has open: what it writes would be lost. Those
/// that are not there are passed over. Where the filesystem cannot tell, nothing is thrown and a warning says so.
void require_unused(const std::vector<std::filesystem::path>& databases);

}  // namespace reef::recover
