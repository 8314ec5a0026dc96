#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reef/model/cache.h"

namespace reef::model {

/// What several caches' owners did, one after the other, to bring them below their caps.
struct CacheTrim {
  bool is_dry_run = false;
  std::vector<CacheItem> removed;  ///< with `is_dry_run`: what would go
  std::vector<CacheItem> kept;     ///< what stays though a cache is over its cap
  std::vector<CacheFolder> folders;
  bool has_failed = false;  ///< something could not be removed, and younger things stayed for that

  std::uint64_t freed_bytes() const;
  /// Of the folder, what is left over its cap.
  std::uint64_t over_bytes(const CacheFolder& folder) const;
  bool is_over() const;
  /// All that was to go is gone, and no cache is over its cap.
  bool is_done() const { return !has_failed && !is_over(); }
};

/// The model cache: what may go in its order, COLD before WARM, until the cap is kept; links of models that are gone.
void trim_model_cache(const tree::Tree& tree, const tree::Config& config, CacheTrim& trim);
/// inference_cache: the entries that nobody read or wrote for longest, whole folders as one; none that a program has
/// open or mapped, or used within cache.hot_seconds.
void trim_inference_cache(const tree::Tree& tree, const tree::Config& config, CacheTrim& trim);
/// What killed runs left in embedding_cache, a day after.
void remove_leftovers_of_embedding(const tree::Tree& tree, CacheTrim& trim);
/// The sizes after it, with their caps.
void measure_caches(const tree::Tree& tree, const tree::Config& config, CacheTrim& trim);

std::string to_json(const CacheTrim& trim);
std::string to_text(const CacheTrim& trim);

}  // namespace reef::model
