#pragma once

#include <filesystem>
#include <string>

#include "reef/core/progress.h"
#include "reef/recover/plan.h"
#include "reef/tree/tree.h"

namespace reef::recover {

struct SystemOptions {
  std::filesystem::path to;  ///< absent, or empty but for what a mount point has: the root of the tree that comes
  unsigned threads = 1;
};

/// What restoring a whole tree would do. `tree` is the one whose drills tell how long it takes. Throws Error{usage}
/// where `to` is a tree or holds anything: what is there is moved away by hand, so that nothing is lost by a restore.
RestoreReport plan_system(const tree::Tree& tree, const Source& source, const SystemOptions& options);

/// Restores a whole tree, checks all of it, and makes again what can be made again. What is damaged in the snapshot is
/// left out and among the report's faults, with all else that is unsound: a tower that is lost is better restored in
/// part than not at all. The marker of a tree comes last, so that one that was interrupted is no tree.
RestoreReport restore_system(const tree::Tree& tree, const Source& source, const SystemOptions& options,
                             Progress& progress);

}  // namespace reef::recover
