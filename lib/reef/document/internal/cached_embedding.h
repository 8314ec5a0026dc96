#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reef/document/embedding_cache.h"
#include "reef/embed/embedder.h"

namespace reef::document::internal {

struct Embedded {
  std::vector<float> vectors;  ///< unit rows, one for each passage
  std::uint64_t computed = 0;  ///< of them; the others were in the cache
  double seconds = 0;          ///< that the computed ones took
};

/// Vectors of passages: from the cache what it knows, and into it what had to be computed. `progress` advances by one
/// for each passage.
Embedded embed_passages(embed::Embedder& embedder, EmbeddingCache& cache, const std::vector<std::string>& passages,
                        unsigned threads, Progress& progress);

}  // namespace reef::document::internal
