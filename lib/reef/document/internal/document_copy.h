#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "reef/core/progress.h"
#include "reef/document/store.h"
#include "reef/tree/parts.h"

namespace reef::document::internal {

/// What some stores hold together: equal for two sets of stores that hold the same documents, however these are split.
struct StoreSum {
  std::uint64_t documents = 0;
  std::uint64_t chunks = 0;
  std::uint64_t vectors = 0;
  std::uint64_t removed = 0;
  std::uint64_t content = 0;  ///< sum of digests: of documents with their tags, chunks with their ids and vectors
  friend bool operator==(const StoreSum&, const StoreSum&) = default;
};
/// Progress advances by one for each chunk.
void add_to_sum(StoreSum& sum, Snapshot& snapshot, Progress& progress);

/// Copies all finished documents of `from` into the parts that they belong into. Chunks keep their ids, in whose order
/// they are written, and their vectors. Progress advances by one for each chunk.
void copy_documents(const std::vector<std::unique_ptr<Snapshot>>& from, const std::vector<std::unique_ptr<Store>>& to,
                    const std::vector<tree::Part>& parts, Progress& progress);

}  // namespace reef::document::internal
