#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "reef/backup/internal/pack_file.h"
#include "reef/backup/internal/snapshot_file.h"
#include "reef/backup/internal/tree_nodes.h"
#include "reef/backup/snapshot_store.h"

namespace reef::backup::internal {

using OnDamage = std::function<void(const std::string& path, const std::string& what)>;

/// Entries of a snapshot, in the order in which they were put. A damaged part is an exception unless there is an
/// `on_damage`, which is then told of it.
void for_each_entry(Packs& packs, const SnapshotFile& snapshot, const OnDamage& on_damage,
                    const std::function<void(const StoredEntry&)>& take);

/// Puts entries of a snapshot into a sink.
class TreeReader {
 public:
  TreeReader(Packs& packs, const SnapshotFile& snapshot, const Selection& selection, Sink& sink, Progress& progress,
             const OnDamage& on_damage);
  void read();

 private:
  void find_link_targets();
  void take(const StoredEntry& stored);
  void put_link(const StoredEntry& stored);
  void put_file(const Entry& entry, const StoredEntry& stored);
  void put_folders_above(const Entry& entry);
  bool lies_above(const std::string& folder) const;
  void damaged(const std::string& path, const std::string& what);

  Packs& packs_;
  const SnapshotFile& snapshot_;
  const Selection& selection_;
  Sink& sink_;
  Progress& progress_;
  const OnDamage& on_damage_;
  std::unordered_set<std::string> folders_;  ///< that were put
  std::unordered_set<std::string> damaged_;  ///< files: hard links to them are lost as well
  /// Files outside of the selection to which a link in it leads, and the path under which they were put.
  std::unordered_map<std::string, StoredEntry> targets_;
  std::unordered_map<std::string, std::string> put_as_;
};

}  // namespace reef::backup::internal
