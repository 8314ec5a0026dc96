#include "reef/model/internal/cache_policy.h"

#include <algorithm>

namespace reef::model {

std::string_view tier_name(CacheTier tier) {
  switch (tier) {
    case CacheTier::hot:
      return "HOT";
    case CacheTier::warm:
      return "WARM";
    case CacheTier::cold:
      break;
  }
  return "COLD";
}

namespace internal {

CacheTier tier_of(Time used, Time now, const CacheLimits& limits) {
  const auto idle = now - used;
  if (idle < limits.hot) return CacheTier::hot;  // also of a clock that was set back
  return idle < limits.warm ? CacheTier::warm : CacheTier::cold;
}

bool is_named(const std::string& model, const std::vector<std::string>& pins) {
  const std::string short_name = model.substr(model.find('/') + 1);
  return std::any_of(pins.begin(), pins.end(),
                     [&](const std::string& pin) { return pin == model || pin == short_name; });
}

std::vector<CachedFile> eviction_order(std::vector<CachedFile> files, Time now, const CacheLimits& limits) {
  std::erase_if(files, [&](const CachedFile& file) {
    return file.is_pinned || tier_of(file.used, now, limits) == CacheTier::hot;
  });
  std::sort(files.begin(), files.end(), [&](const CachedFile& a, const CachedFile& b) {
    const CacheTier tier_a = tier_of(a.used, now, limits), tier_b = tier_of(b.used, now, limits);
    if (tier_a != tier_b) return tier_a > tier_b;
    return a.used != b.used ? a.used < b.used : a.digest < b.digest;
  });
  return files;
}

}  // namespace internal
}  // namespace reef::model
