#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reef/backup/snapshot_store.h"
#include "reef/core/time.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::recover {

/// Which snapshot to restore from.
struct SourceChoice {
  std::optional<int> tier = {};          ///< those of one tier alone
  std::optional<std::string> from = {};  ///< the id of a snapshot, or a destination: a folder or s3://BUCKET/PREFIX
  std::optional<Time> at = {};           ///< the newest that is no younger
};

/// A snapshot, and where it is.
struct Source {
  int tier = 1;
  std::string destination;
  std::shared_ptr<backup::SnapshotStore> store;
  backup::Snapshot snapshot;
};

/// The newest snapshot of each tier that fits the choice, in the order of `tiers`; a damaged one only where it was
/// asked for by its id. A tier whose destination cannot be read is left out, and `why_not` told. Throws
/// Error{not_found} where none is left, Error{usage} where no tier has a destination.
std::vector<Source> find_sources(const tree::Tree& tree, const tree::Config& config, const SourceChoice& choice,
                                 const std::vector<int>& tiers, std::vector<std::string>* why_not = nullptr);

/// Of a store's snapshots, oldest first, the one that the choice takes; nullopt when there is none.
std::optional<backup::Snapshot> chosen(const std::vector<backup::Snapshot>& snapshots, const SourceChoice& choice);

}  // namespace reef::recover
