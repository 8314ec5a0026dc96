#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reef/backup/snapshot_store.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::backup {

inline constexpr int kTiers[] = {1, 2, 3};

struct StoreOptions {
  std::optional<std::string> to = {};  ///< a folder or s3://BUCKET/PREFIX in place of backup.tierN.to
  bool adopt = false;                  ///< DestinationOptions::adopt
  std::chrono::milliseconds wait{0};   ///< for another run, where the store is written to
  unsigned threads = 0;                ///< 0: all cores
};

/// backup.tierN.to, relative paths from the root of the tree, or `to`, relative ones from here; empty where neither
/// says anything.
std::string destination_of(const tree::Tree& tree, const tree::Config& config, int tier,
                           const std::optional<std::string>& to = std::nullopt);
/// The tiers that the configuration gives a destination, ascending.
std::vector<int> configured_tiers(const tree::Config& config);
/// backup.tierN.keep. Throws Error{usage} naming the key.
Retention retention_of(const tree::Config& config, int tier);
/// The tier whose snapshots a folder holds, by its marker. Throws as Destination::open_for_reading() does.
int tier_of_folder(const fs::path& folder);

/// The snapshots of a tier. Nothing is looked at before it is used. Throws Error{usage} where no destination is
/// configured or given.
std::unique_ptr<SnapshotStore> open_store(const tree::Tree& tree, const tree::Config& config, int tier,
                                          const StoreOptions& options = {});

}  // namespace reef::backup
