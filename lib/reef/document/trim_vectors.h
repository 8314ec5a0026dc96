#pragma once

#include "reef/model/cache_trim.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::document {

/// Brings cache/embedding_cache below cache.embedding.cap_bytes (0: no limit): of the vectors of all models together
/// those go that were unused for longest. A database of vectors that is damaged is emptied.
void trim_vectors(const tree::Tree& tree, const tree::Config& config, model::CacheTrim& trim);

}  // namespace reef::document
