#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "reef/core/time.h"
#include "reef/tree/tree.h"

namespace reef::backup {

/// What a tree knows of one tier's backups without asking its destination, which may be a drive that is not mounted.
///
/// Tree::backups()/tier<N>.json, one line of JSON, sealed as a destination's marker is: {"format":"reef backup ledger",
/// "version":1, "destination", "id", "newest":{"snapshot","taken","seconds","bytes"}, "verify":{"when","snapshots",
/// "faults"}, "drill":{"when","snapshot","seconds","bytes","sound"},"xxh3"}. What is not known is not there; members
/// that a newer reef wrote stay.
struct Ledger {
  struct Newest {
    std::string snapshot;
    Time taken;
    std::chrono::milliseconds duration{0};
    std::uint64_t bytes = 0;  ///< that it added to the destination
  };
  struct Verify {
    Time when;
    std::uint64_t snapshots = 0;
    std::uint64_t faults = 0;
  };
  struct Drill {
    Time when;
    std::string snapshot;
    std::chrono::milliseconds duration{0};
    std::uint64_t bytes = 0;  ///< that it restored
    bool sound = false;
  };

  std::string destination;  ///< a folder or s3://…, as UTF-8 can show it; empty: this tier never ran
  std::string id;           ///< Destination::id()
  std::optional<Newest> newest;
  std::optional<Verify> verify;
  std::optional<Drill> drill;
};

/// All empty where there is no file. Throws Error{corrupt} for a damaged one.
Ledger read_ledger(const tree::Tree& tree, int tier);
/// Reads, changes and replaces it under a lock, so that a drill and a backup that end together both are told.
void update_ledger(const tree::Tree& tree, int tier, const std::function<void(Ledger&)>& change);

}  // namespace reef::backup
