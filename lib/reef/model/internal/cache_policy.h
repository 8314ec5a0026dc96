#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/time.h"

namespace reef::model {

/// How long ago a file was used last decides what may go.
enum class CacheTier { hot, warm, cold };
std::string_view tier_name(CacheTier tier);

namespace internal {

struct CacheLimits {
  std::chrono::milliseconds hot = std::chrono::seconds(60);    ///< used since: stays
  std::chrono::milliseconds warm = std::chrono::seconds(600);  ///< used since: goes after those that were not
};

CacheTier tier_of(Time used, Time now, const CacheLimits& limits);

struct CachedFile {
  std::string digest;
  std::uint64_t bytes = 0;
  Time used{};
  bool is_pinned = false;
};

/// Whether one of `pins`, which name a model with or without its folder, is of "base/gemma-3-4b".
bool is_named(const std::string& model, const std::vector<std::string>& pins);

/// The files that may go, in the order in which they do: COLD before WARM, in each the one first that was not used for
/// longest. Hot and pinned ones are not among them.
std::vector<CachedFile> eviction_order(std::vector<CachedFile> files, Time now, const CacheLimits& limits);

}  // namespace internal
}  // namespace reef::model
