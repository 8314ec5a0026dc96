#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "reef/backup/capture.h"
#include "reef/backup/snapshot_store.h"
#include "reef/backup/stores.h"
#include "reef/core/error.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::backup {

struct RunOptions {
  int tier = 1;
  StoreOptions store = {};
  bool prune = true;  ///< afterwards, as backup.tierN.keep says
};

struct RunReport {
  int tier = 1;
  std::string destination;
  bool is_new = false;           ///< the tree never had this destination
  bool same_filesystem = false;  ///< as the tree: one broken drive takes both
  bool changed = false;          ///< since the newest snapshot there
  Snapshot snapshot;
  CaptureReport capture;
  std::chrono::milliseconds duration{0};
  PruneReport pruned;
  std::optional<Error> prune_failure;  ///< the snapshot is safe all the same

  bool is_partial() const { return capture.is_partial() || prune_failure; }
};

/// Takes a snapshot, records it in the tree's ledger, then removes those that the retention lets go. Throws what
/// capture() and the stores throw; what was there before stays.
RunReport run(const tree::Tree& tree, const tree::Config& config, const RunOptions& options, Progress& progress);

/// One tier's snapshots.
struct Listing {
  int tier = 1;
  std::string destination;
  std::vector<Snapshot> snapshots;
};

struct TierVerified {
  int tier = 1;
  std::string destination;
  double sample = 1;
  VerifyReport report;
  std::chrono::milliseconds duration{0};
};
/// Verifies, and records it in the ledger where the whole store was read.
TierVerified verify(const tree::Tree& tree, const tree::Config& config, int tier, const StoreOptions& store,
                    const VerifyOptions& options, Progress& progress);

struct TierPruned {
  int tier = 1;
  std::string destination;
  bool dry_run = false;
  PruneReport report;
  std::vector<Kept> why;  ///< of report.stayed
};
TierPruned prune(const tree::Tree& tree, const tree::Config& config, int tier, const StoreOptions& store, bool dry_run);

std::string to_text(const RunReport& report);
std::string to_json(const RunReport& report);
std::string to_text(const std::vector<Listing>& listings);
/// A line for each snapshot.
std::string to_json(const std::vector<Listing>& listings);
std::string to_text(const std::vector<TierVerified>& verified);
std::string to_json(const std::vector<TierVerified>& verified);
std::string to_text(const std::vector<TierPruned>& pruned);
std::string to_json(const std::vector<TierPruned>& pruned);

}  // namespace reef::backup
