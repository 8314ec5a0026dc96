#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "reef/backup/internal/pack_file.h"
#include "reef/backup/internal/snapshot_file.h"
#include "reef/backup/internal/tree_nodes.h"

namespace reef::backup::internal {

/// The tree of the snapshot before the one that is made, as far as it can be read: all that it takes is the entries as
/// they are stored, and a map of their paths.
class TreeBefore {
 public:
  TreeBefore() = default;
  TreeBefore(Packs& packs, const SnapshotFile& snapshot, const Checks& checks);

  const NodeRef& root() const { return root_; }  ///< of pack 0: there is none
  /// nullopt for a path that it has not.
  std::optional<StoredEntry> find(const std::string& path) const;
  /// A node of entries that is stored already.
  std::optional<NodeRef> node(const io::Sha256Digest& name) const;
  /// Whether the file was read while it changed, or was damaged.
  bool may_be_torn(const std::string& path) const { return changed_.count(path) > 0; }

 private:
  NodeRef root_;
  std::vector<EntriesNode> nodes_;
  std::vector<std::string> texts_;
  std::unordered_map<std::string_view, std::string_view> entries_;  ///< by path, into texts_
  std::unordered_set<std::string> changed_;
};

}  // namespace reef::backup::internal
