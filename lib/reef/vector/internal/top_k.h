#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "reef/vector/scan.h"

namespace reef::vector::internal {

/// Best first: the higher score, then the lower row. A total order for scores that are no NaN.
inline bool better(const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; }

/// Keeps the `k` best hits of a stream that comes in ascending order of rows.
///
/// Almost every hit of a long scan falls below the threshold, so refusing one is a single
/// comparison. Those accepted gather in a buffer of 2k that is halved by nth_element when full:
/// O(1) amortised a hit, where a heap takes O(log k).
class TopK {
 public:
  explicit TopK(std::size_t k) : k_(k) { hits_.reserve(2 * k); }

  /// The score that a hit must exceed. Not reach: its row is higher than those kept, so it loses a
  /// tie. NaN exceeds nothing.
  float threshold() const { return threshold_; }

  void offer(std::uint64_t row, float score) {
    if (score > threshold_) add({row, score});
  }

  /// The hits in any order.
  std::vector<Hit> take() {
    if (hits_.size() > k_) shrink();
    return std::move(hits_);
  }

 private:
  void add(const Hit& hit) {
    hits_.push_back(hit);
    if (hits_.size() == 2 * k_) shrink();
  }

  void shrink() {
    const auto last_kept = hits_.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
    std::nth_element(hits_.begin(), last_kept, hits_.end(), better);
    threshold_ = last_kept->score;
    hits_.resize(k_);
  }

  std::size_t k_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::vector<Hit> hits_;
};

}  // namespace reef::vector::internal
