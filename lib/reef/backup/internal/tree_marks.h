#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "reef/backup/internal/pack_file.h"
#include "reef/backup/internal/snapshot_file.h"
#include "reef/backup/internal/tree_nodes.h"

namespace reef::backup::internal {

/// Which blocks snapshots use. What several snapshots share is read once.
class TreeMarks {
 public:
  /// A node that cannot be read, and what it holds: the path of its file, or of its first entry.
  using Lost = std::function<void(const BlockRef& node, const std::string& path, const std::string& what)>;
  /// A file that nobody marked before, with the runs that it has itself (its lists are marked already).
  using File = std::function<void(const StoredEntry& entry)>;

  explicit TreeMarks(Packs& packs, Lost lost, File file = {})
      : packs_(packs), lost_(std::move(lost)), file_(std::move(file)) {}

  void mark(const SnapshotFile& snapshot);

  /// By pack; a block beyond the end of the vector is not used.
  const std::unordered_map<std::uint32_t, std::vector<bool>>& used() const { return used_; }
  bool is_used(std::uint32_t pack, std::uint32_t block) const;

 private:
  void mark_run(const BlockRun& run);
  /// False where it was marked before.
  bool mark_node(const NodeRef& node);
  void mark_entries(const EntriesNode& node, const std::string& where);
  void mark_file(const StoredEntry& stored, const std::string& where);

  Packs& packs_;
  Lost lost_;
  File file_;
  std::unordered_map<std::uint32_t, std::vector<bool>> used_;
  std::unordered_set<std::uint64_t> nodes_;
};

/// For maps by node.
inline std::uint64_t key_of(const BlockRef& block) { return std::uint64_t{block.pack} << 32 | block.number; }

}  // namespace reef::backup::internal
