#include "reef/retrieve/internal/results.h"

#include <algorithm>
#include <utility>

namespace reef::retrieve::internal {

std::size_t Results::take(const std::vector<Scored>& candidates) {
  const std::size_t before = results_.size();
  for (const Scored& scored : candidates) {
    if (full()) break;
    used_[scored.layer].push_back(scored.id);
    auto passage = layers_[scored.layer]->fetch(scored.id);
    if (!passage) continue;  // of a document that is not finished
    if (!options_.chunks && !documents_.insert(passage->scope + "\n" + passage->document).second) continue;
    if (!texts_.add(passage->text)) continue;
    results_.push_back(
        {0, layers_[scored.layer]->name(), scored.score, scored.bm25, scored.cosine, std::move(*passage)});
  }
  return results_.size() - before;
}

void Results::leave_out_used() {
  for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i]->leave_out(std::exchange(used_[i], {}), !options_.chunks);
}

std::vector<Result> Results::ranked() && {
  std::stable_sort(results_.begin(), results_.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  for (std::size_t i = 0; i < results_.size(); ++i) results_[i].rank = i + 1;
  return std::move(results_);
}

}  // namespace reef::retrieve::internal
