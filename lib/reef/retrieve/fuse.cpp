#include "reef/retrieve/fuse.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

namespace reef::retrieve {
namespace {

constexpr double kRowsForOwnIdf = 200;

std::vector<double> idf_of(const TermCounts& counts) {
  std::vector<double> idf;
  for (const double rows : counts.rows_with_term) idf.push_back(text::inverse_document_frequency(counts.rows, rows));
  return idf;
}

TermCounts pooled(const std::vector<TermCounts>& layers, std::size_t terms) {
  TermCounts sum;
  sum.rows_with_term.resize(terms);
  for (const TermCounts& layer : layers) {
    sum.rows += layer.rows;
    for (std::size_t t = 0; t < layer.rows_with_term.size(); ++t) sum.rows_with_term[t] += layer.rows_with_term[t];
  }
  return sum;
}

double largest_bm25(const std::vector<Candidate>& candidates) {
  double largest = 0;
  for (const Candidate& candidate : candidates) largest = std::max(largest, candidate.bm25);
  return largest;
}

/// What both searches of one layer found, each row once, with both scores.
std::vector<Candidate> united(Layer& layer, const std::vector<Candidate>& by_words, std::vector<Candidate> by_vector,
                              std::span<const double> idf) {
  const auto by_id = [](const Candidate& a, const Candidate& b) { return a.id < b.id; };
  std::sort(by_vector.begin(), by_vector.end(), by_id);
  for (const Candidate& candidate : by_words)
    if (!std::binary_search(by_vector.begin(), by_vector.end(), candidate, by_id)) by_vector.push_back(candidate);
  layer.complete(by_vector, idf);
  return by_vector;
}

/// The cosines that count as 0 and 1 (rule 3).
std::pair<double, double> cosine_range(const std::vector<Scored>& all, std::size_t count) {
  std::vector<const Scored*> order;
  for (const Scored& scored : all)
    if (scored.cosine) order.push_back(&scored);
  std::vector<const Scored*> kept;
  const auto keep_best = [&](auto better) {
    const auto end = order.begin() + static_cast<std::ptrdiff_t>(std::min(count, order.size()));
    std::partial_sort(order.begin(), end, order.end(), better);
    kept.insert(kept.end(), order.begin(), end);
  };
  keep_best([](const Scored* a, const Scored* b) { return *a->cosine > *b->cosine; });
  keep_best([](const Scored* a, const Scored* b) { return a->bm25 > b->bm25; });
  double low = 1, high = -1;
  for (const Scored* scored : kept) {
    // The second cut takes rows without a matching word only where words are scarce: those are no
    // evidence of how low a cosine can be.
    low = std::min(low, *scored->cosine);
    high = std::max(high, *scored->cosine);
  }
  return {low, high};
}

}  // namespace

Fusion::Fusion(const std::vector<std::shared_ptr<Layer>>& layers, const std::vector<double>& priors,
               const Question& question, const FuseOptions& options)
    : layers_(layers), priors_(priors), question_(question), options_(options) {
  std::vector<TermCounts> counts;
  for (const auto& layer : layers_) {
    layer->ask(question_);
    counts.push_back(layer->term_counts());
  }
  pooled_idf_ = idf_of(pooled(counts, question_.terms.size()));
  for (const TermCounts& layer : counts)
    scales_.push_back({layer.rows < kRowsForOwnIdf ? pooled_idf_ : idf_of(layer), std::nullopt, 1, -1});
}

std::vector<Scored> Fusion::candidates_of(std::size_t index, std::size_t count) {
  Layer& layer = *layers_[index];
  LayerScale& scale = scales_[index];
  std::vector<Candidate> by_words, by_vector;
  if (options_.mode != Mode::dense) by_words = layer.best_by_words(scale.idf, count);
  if (options_.mode != Mode::bm25) by_vector = layer.best_by_vector(count);
  was_cut_ = was_cut_ || by_words.size() >= count || by_vector.size() >= count;
  if (const double own = largest_bm25(by_words); own > 0 && layers_.size() > 1 && !scale.factor) {
    auto again = by_words;
    layer.complete(again, pooled_idf_);
    scale.factor = largest_bm25(again) / own;
  }
  std::vector<Scored> found;
  for (const Candidate& candidate : united(layer, by_words, std::move(by_vector), scale.idf))
    found.push_back({index, candidate.id, 0, candidate.bm25 * scale.factor.value_or(1), candidate.cosine});
  return found;
}

void Fusion::fix_scale(const std::vector<Scored>& all) {
  if (std::exchange(has_scale_, true)) return;
  for (const Scored& scored : all) largest_bm25_ = std::max(largest_bm25_, scored.bm25);
  std::map<std::string, std::vector<Scored>> spaces;
  for (const Scored& scored : all)
    if (scored.cosine) spaces[layers_[scored.layer]->vector_space()].push_back(scored);
  one_space_ = spaces.size() <= 1;
  for (const auto& [space, found] : spaces) {
    const auto [low, high] = cosine_range(found, options_.candidates);
    for (std::size_t i = 0; i < layers_.size(); ++i)
      if (layers_[i]->vector_space() == space) std::tie(scales_[i].low, scales_[i].high) = std::pair(low, high);
  }
}

/// Of a candidate whose bm25 is divided by the largest already.
double Fusion::score_of(const Scored& scored) const {
  if (options_.mode == Mode::bm25) return scored.bm25;
  if (options_.mode == Mode::dense && one_space_) return scored.cosine.value_or(0);
  const auto& [idf, factor, low, high] = scales_[scored.layer];
  double dense = 0;
  if (scored.cosine && high > low)
    dense = std::max(0., (*scored.cosine - low) / (high - low));
  else if (scored.cosine && *scored.cosine >= low)
    dense = 1;
  if (options_.mode == Mode::dense) return dense;
  return (1 - options_.dense_weight) * scored.bm25 + options_.dense_weight * dense;
}

std::vector<Scored> Fusion::search(std::size_t count) {
  was_cut_ = false;
  std::vector<Scored> all;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const auto found = candidates_of(i, count);
    all.insert(all.end(), found.begin(), found.end());
  }
  fix_scale(all);
  for (Scored& scored : all) {
    if (largest_bm25_ > 0) scored.bm25 /= largest_bm25_;
    scored.score = score_of(scored) * priors_[scored.layer];
    if (options_.mode != Mode::dense) scored.score += layers_[scored.layer]->bonus(scored.id);
  }
  std::sort(all.begin(), all.end(), [](const Scored& a, const Scored& b) {
    if (a.score != b.score) return a.score > b.score;
    if (a.cosine != b.cosine) return a.cosine > b.cosine;
    return a.layer != b.layer ? a.layer < b.layer : a.id < b.id;
  });
  return all;
}

}  // namespace reef::retrieve
