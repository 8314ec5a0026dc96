#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/recover/check.h"
#include "reef/tree/tree.h"

namespace reef::recover {

struct RebuildOptions {
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};  ///< for the locks of stores
};

/// Makes again what a check found missing or not matching and can be made again (CheckFault::is_derived): codes, plain
/// names and id_mapping.json from vectors, index.bin from vectors. Returns one line for each store, of what was done.
/// Throws what document::build() and session::TurnStore throw.
std::vector<std::string> rebuild(const tree::Tree& tree, const CheckReport& report, const RebuildOptions& options,
                                 Progress& progress);

}  // namespace reef::recover
