#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/embed/embedder.h"
#include "reef/tree/tree.h"

namespace reef::session {

struct IndexOptions {
  std::string persona;
  std::uint64_t limit = 0;  ///< embed at most as many turns; 0: all that are pending
  bool again = false;       ///< embed every turn again, by another model; what is there serves until that is done
  bool other_models_only = false;  ///< with `again`: where the vectors are of this model already, embed the rest
  /// Leave the longer part of the tidying, which only other programs see, to the next run that has time.
  bool quick = false;
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};
};

struct IndexReport {
  std::string persona;
  std::string model;
  std::uint64_t embedded = 0;
  std::uint64_t removed = 0;
  std::uint64_t pending = 0;  ///< that are left, for the limit
  std::uint64_t turns = 0;    ///< that have vectors now
  bool rebuilt = false;       ///< the vectors and their graph were written anew
  double seconds = 0;

  bool changed() const { return embedded + removed > 0 || rebuilt; }
};

/// Embeds the turns of a persona that are pending, each together with the turn before it in its session: what "Yes, in
/// May" is about stands there. Takes out those that were removed.
///
/// Killed anywhere, the store is as before a batch or after it, and the next run embeds what is pending still. Throws
/// Error{locked} when another run indexes this persona, Error{usage} when the vectors that are there are of another
/// model and `again` is not asked for. A turn whose archive is not there, or damaged, waits.
IndexReport index_turns(const tree::Tree& tree, const IndexOptions& options, embed::Embedder& embedder,
                        Progress& progress);

/// Turns of the persona that are not embedded yet; 0 where there are no conversations.
std::uint64_t pending_turns(const tree::Tree& tree, const std::string& persona);

std::string to_text(const std::vector<IndexReport>& reports);
std::string to_json(const std::vector<IndexReport>& reports);

}  // namespace reef::session
