#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reef/backup/internal/pack_check.h"
#include "reef/backup/internal/pack_file.h"
#include "reef/backup/internal/snapshot_file.h"
#include "reef/backup/internal/tree_nodes.h"

namespace reef::backup::internal {

/// Tells which snapshots and paths faults in packs hit.
class FaultTrace {
 public:
  /// Faults of neighbours become one.
  FaultTrace(Packs& packs, std::vector<PackFault> faults);

  void trace(const SnapshotFile& snapshot);
  /// All but those that prune() made void meanwhile, in `repository`.
  std::vector<Fault> take(const fs::path& repository);

 private:
  using Hits = std::set<std::size_t>;  ///< numbers of faults
  using PathHits = std::set<std::pair<std::size_t, std::string>>;

  void join();
  Hits hits_of(const BlockRun& run) const;
  const Hits& hits_of_list(const NodeRef& list);
  const PathHits& hits_of_node(const EntriesNode& node);
  PathHits find_hits(const EntriesNode& node);

  Packs& packs_;
  std::vector<PackFault> faults_;
  std::vector<Fault> told_;
  /// By pack: first block to number of blocks and fault.
  std::map<std::uint32_t, std::multimap<std::uint32_t, std::pair<std::uint64_t, std::size_t>>> bad_;
  std::unordered_map<std::uint64_t, Hits> lists_;
  std::unordered_map<std::uint64_t, PathHits> nodes_;
};

}  // namespace reef::backup::internal
