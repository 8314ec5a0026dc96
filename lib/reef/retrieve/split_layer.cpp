#include <algorithm>

#include "reef/retrieve/internal/each_part.h"
#include "reef/retrieve/internal/split_layer.h"

namespace reef::retrieve::internal {
namespace {

class SplitLayer : public Layer {
 public:
  SplitLayer(std::shared_ptr<ScopeSearch> scope, std::vector<std::unique_ptr<Layer>> layers)
      : scope_(std::move(scope)), layers_(std::move(layers)) {}

  const std::string& name() const override { return layers_.front()->name(); }

  std::string vector_space() const override {
    for (std::size_t i = 0; i < layers_.size(); ++i)
      if (!scope_->parts()[i]->snapshot().vectors().empty()) return layers_[i]->vector_space();
    return layers_.front()->vector_space();
  }

  void ask(const Question& question) override {
    scope_->ask(question);  // all parts at once; what follows finds them asked
    for (const auto& layer : layers_) layer->ask(question);
  }

  TermCounts term_counts() const override {
    TermCounts counts = layers_.front()->term_counts();
    for (std::size_t i = 1; i < layers_.size(); ++i) {
      const TermCounts more = layers_[i]->term_counts();
      counts.rows += more.rows;
      for (std::size_t t = 0; t < more.rows_with_term.size(); ++t) counts.rows_with_term[t] += more.rows_with_term[t];
    }
    return counts;
  }

  std::vector<Candidate> best_by_words(std::span<const double> idf, std::size_t count) override {
    return merged(
        count, [&](Layer& layer) { return layer.best_by_words(idf, count); },
        [](const Candidate& candidate) { return candidate.bm25; });
  }

  std::vector<Candidate> best_by_vector(std::size_t count) override {
    return merged(
        count, [&](Layer& layer) { return layer.best_by_vector(count); },
        [](const Candidate& candidate) { return candidate.cosine.value_or(0); });
  }

  void complete(std::span<Candidate> candidates, std::span<const double> idf) override {
    for (Candidate& candidate : candidates)
      if (Layer* const layer = layer_of(candidate.id)) layer->complete({&candidate, 1}, idf);
  }

  void leave_out(std::span<const std::int64_t> ids, bool whole_documents) override {
    for (const std::int64_t id : ids)
      if (Layer* const layer = layer_of(id)) layer->leave_out({&id, 1}, whole_documents);
  }

  std::optional<Passage> fetch(std::int64_t id) override {
    Layer* const layer = layer_of(id);
    return layer ? layer->fetch(id) : std::nullopt;
  }

 private:
  /// Of the part that holds this chunk; ids are unique over all parts.
  Layer* layer_of(std::int64_t id) const {
    for (std::size_t i = 0; i < layers_.size(); ++i)
      if (scope_->parts()[i]->snapshot().map().words(id) > 0) return layers_[i].get();
    return nullptr;
  }

  /// Ties go to the lower id, as in a store that is whole.
  template <typename Search, typename Score>
  std::vector<Candidate> merged(std::size_t count, const Search& search, const Score& score) const {
    std::vector<std::vector<Candidate>> found(layers_.size());
    each_part(layers_.size(), [&](std::size_t i) { found[i] = search(*layers_[i]); });
    std::vector<Candidate> all;
    for (const auto& some : found) all.insert(all.end(), some.begin(), some.end());
    std::sort(all.begin(), all.end(), [&](const Candidate& a, const Candidate& b) {
      return score(a) > score(b) || (score(a) == score(b) && a.id < b.id);
    });
    if (all.size() > count) all.resize(count);
    return all;
  }

  std::shared_ptr<ScopeSearch> scope_;
  std::vector<std::unique_ptr<Layer>> layers_;
};

}  // namespace

std::unique_ptr<Layer> make_split_layer(std::shared_ptr<ScopeSearch> scope,
                                        std::vector<std::unique_ptr<Layer>> layers) {
  return std::make_unique<SplitLayer>(std::move(scope), std::move(layers));
}

}  // namespace reef::retrieve::internal
