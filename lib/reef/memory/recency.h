#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>

#include "reef/core/time.h"

namespace reef::memory {

/// memory.half_life_days of system.yaml, when nobody says otherwise.
inline constexpr double kHalfLifeDays = 90;

/// 2^(-age / h), h = half_life_days x sqrt(1 + access_count): what was asked for often fades slowly. 1 for what is not
/// older than `now`.
inline double recency(Time created, Time now, std::int64_t access_count, double half_life_days = kHalfLifeDays) {
  const double days = std::chrono::duration<double, std::ratio<86400>>(now - created).count();
  if (!(days > 0)) return 1;
  return std::exp2(-days /
                   (half_life_days * std::sqrt(1 + static_cast<double>(std::max<std::int64_t>(access_count, 0)))));
}

}  // namespace reef::memory
