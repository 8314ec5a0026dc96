#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "reef/core/progress.h"
#include "reef/recover/check.h"
#include "reef/recover/source.h"

namespace reef::recover {

struct DrillOptions {
  std::filesystem::path scratch = {};  ///< a folder to work in, which must be there; empty: the tree's data/backups
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};  ///< for another drill
};

struct DrillReport {
  int tier = 1;
  std::string destination;
  backup::Snapshot snapshot;
  std::chrono::milliseconds restored_in{0};
  std::chrono::milliseconds checked_in{0};
  std::uint64_t bytes = 0;
  CheckReport check;

  double bytes_per_second() const;
};

/// Restores a snapshot into a new folder, checks all of it (check.h), records in the tree's ledger how long that took
/// and whether it was sound, and removes the folder; what a killed drill left, too. Throws Error{failed} where there is
/// no room for it, Error{locked} naming another drill, and what the store throws for a damaged snapshot, which is
/// recorded as well.
DrillReport drill(const tree::Tree& tree, const Source& source, const DrillOptions& options, Progress& progress);

std::string to_text(const DrillReport& report);
std::string to_json(const DrillReport& report);

}  // namespace reef::recover
