#include "reef/memory/internal/band.h"

#include <algorithm>
#include <cmath>

namespace reef::memory::internal {

void Band::add(double logit) {
  if (in_order_.size() == kKept) {
    sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), in_order_.front()));
    in_order_.pop_front();
  }
  in_order_.push_back(logit);
  sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), logit), logit);
}

double Band::quantile(double q) const {
  const double at = q * static_cast<double>(sorted_.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(at));
  const std::size_t above = std::min(below + 1, sorted_.size() - 1);
  return sorted_[below] + (at - static_cast<double>(below)) * (sorted_[above] - sorted_[below]);
}

double Band::shift() const {
  if (sorted_.size() < kFirst) return 0;
  const auto n = static_cast<double>(sorted_.size());
  return n / (n + 50) * std::min(std::max(0.0, quantile(.5)), quantile(.6));
}

}  // namespace reef::memory::internal
