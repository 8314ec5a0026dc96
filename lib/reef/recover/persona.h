#pragma once

#include <chrono>
#include <string>

#include "reef/core/progress.h"
#include "reef/recover/plan.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::recover {

struct PersonaOptions {
  std::string persona;
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};  ///< for another restore, and for who writes to the persona's stores
};

/// What a persona's restore from that snapshot would do. Throws Error{not_found} where the snapshot holds nothing of
/// it.
RestoreReport plan_persona(const tree::Tree& tree, const tree::Config& config, const Source& source,
                           const PersonaOptions& options);

/// Stops the persona's service, restores what belongs to it alone (memories, vectors of its documents and of its
/// conversations) beside its place and checks it, puts it into place, brings its rows of the databases that all
/// personas share while the others go on writing, makes again what can be made again, and starts the service. Ended
/// anywhere, the persona is as it was or, once the next run of reef-restore has finished it, as restored.
///
/// Throws Error{corrupt} naming what is unsound in the snapshot, with nothing changed; Error{locked} where a process
/// has a database of the persona open or writes to its stores; what replace_rows() of persona throws.
RestoreReport restore_persona(const tree::Tree& tree, const tree::Config& config, const Source& source,
                              const PersonaOptions& options, Progress& progress);

}  // namespace reef::recover
