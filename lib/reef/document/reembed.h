#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "reef/core/progress.h"
#include "reef/embed/embedder.h"
#include "reef/tree/tree.h"
#include "reef/vector/store.h"

namespace reef::document {

struct ReembedOptions {
  tree::Scope scope = tree::Scope::shared();
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};
  std::uint64_t cache_cap_bytes = 2ull << 30;
};

struct ReembedReport {
  std::string scope;
  std::string previous;  ///< name of the model until now
  std::string model;
  std::size_t dim = 0;
  std::uint64_t chunks = 0;
  std::uint64_t embedded = 0;  ///< of them computed; the rest came from the cache
  std::uint64_t cut = 0;       ///< longer than the model reads
  std::uint64_t removed = 0;   ///< rows that were purged
  std::int64_t generation = 0;
  std::optional<vector::RecallSample> recall;
  double asked_recall = 0;  ///< that the store's index was made for
  double seconds = 0;
};

/// Embeds the texts of a scope's vectors with another model, those of vectors made elsewhere included, and puts the new
/// vectors with their graph in the place of the old ones in one transaction; queries go on with the old ones until
/// then. Chunks stay as they are cut. A run that is ended keeps what it embedded in the embedding cache, and the next
/// one goes on from there.
///
/// nullopt, and nothing done, when the vectors are of that model already, or when there are none. Throws
/// Error{not_found} when the scope has no store, Error{usage} when it is split over shards, Error{locked} when another
/// run writes the scope.
std::optional<ReembedReport> reembed(const tree::Tree& tree, const ReembedOptions& options, embed::Embedder& embedder,
                                     Progress& progress);

std::string to_text(const ReembedReport& report);
std::string to_json(const ReembedReport& report);

}  // namespace reef::document
