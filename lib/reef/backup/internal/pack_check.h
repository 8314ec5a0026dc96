#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "reef/backup/internal/pack_file.h"
#include "reef/backup/snapshot_store.h"

namespace reef::backup::internal {

/// Something wrong in a pack, and the blocks that are lost by it.
struct PackFault {
  std::uint32_t pack = 0;
  std::string what;
  std::uint32_t first = 0;
  std::uint32_t count = 0;    ///< 0: none are; UINT32_MAX: all of the pack
  bool of_reference = false;  ///< it is a snapshot that misses something: no fault once that snapshot is removed
};

struct PackCheckOptions {
  /// Which blocks are read; empty: all that a pack has, and that it has no bytes beside them.
  std::function<bool(std::uint32_t pack, std::uint32_t block)> wanted;
  double sample = 1;
  unsigned threads = 1;
};

struct PackCheckReport {
  std::uint64_t bytes = 0;  ///< of blocks that were read
  std::vector<PackFault> faults;
};

/// Reads packs past the page cache and checks every part of them.
PackCheckReport check_packs(Packs& packs, const std::vector<std::uint32_t>& numbers, const PackCheckOptions& options,
                            Progress& progress);

}  // namespace reef::backup::internal
