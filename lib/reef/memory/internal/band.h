#pragma once

#include <cstddef>
#include <deque>
#include <vector>

namespace reef::memory::internal {

/// Holds the level of scores, which differs from one conversation to another: `n / (n + 50) x min(max(0, q50), q60)` of
/// the last 1,000 logits is taken from a logit, from the 21st on.
class Band {
 public:
  static constexpr std::size_t kKept = 1000;
  static constexpr std::size_t kFirst = 20;

  void add(double logit);
  double shift() const;
  /// Linear between neighbours. Precondition: there is a logit.
  double quantile(double q) const;
  std::size_t size() const { return sorted_.size(); }

 private:
  std::deque<double> in_order_;
  std::vector<double> sorted_;
};

}  // namespace reef::memory::internal
