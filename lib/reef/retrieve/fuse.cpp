#include "reef/retrieve/fuse.h"

#include <algorithm>
#include <cmath>

namespace reef::retrieve {
namespace {

constexpr double kRowsForOwnIdf = 200;

std::vector<double> idf_of(const TermCounts& counts) {
  std::vector<double> idf;
  for (const double rows : counts.rows_with_term)
    idf.push_back(document::inverse_document_frequency(counts.rows, rows));
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
std::vector<Candidate> united(Layer& layer, std::vector<Candidate> by_words, std::vector<Candidate> by_vector,
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

std::vector<Scored> search_and_fuse(const std::vector<std::unique_ptr<Layer>>& layers,
                                    const std::vector<double>& priors, const Question& question,
                                    const FuseOptions& options) {
  std::vector<TermCounts> counts;
  for (const auto& layer : layers) {
    layer->ask(question);
    counts.push_back(layer->term_counts());
  }
  const auto pooled_idf = idf_of(pooled(counts, question.terms.size()));
  std::vector<Scored> all;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto own_idf = counts[i].rows < kRowsForOwnIdf ? pooled_idf : idf_of(counts[i]);
    auto by_words =
        options.mode == Mode::dense ? std::vector<Candidate>{} : layers[i]->best_by_words(own_idf, options.candidates);
    double scale = 1;
    if (const double own = largest_bm25(by_words); own > 0 && layers.size() > 1) {
      auto again = by_words;
      layers[i]->complete(again, pooled_idf);
      scale = largest_bm25(again) / own;
    }
    auto by_vector =
        options.mode == Mode::bm25 ? std::vector<Candidate>{} : layers[i]->best_by_vector(options.candidates);
    for (const Candidate& candidate : united(*layers[i], std::move(by_words), std::move(by_vector), own_idf))
      all.push_back({i, candidate.id, 0, candidate.bm25 * scale, candidate.cosine});
  }
  double largest = 0;
  for (const Scored& scored : all) largest = std::max(largest, scored.bm25);
  const auto [low, high] = cosine_range(all, options.candidates);
  for (Scored& scored : all) {
    if (largest > 0) scored.bm25 /= largest;
    const double dense = scored.cosine && high > low ? std::max(0., (*scored.cosine - low) / (high - low))
                         : scored.cosine             ? 1.
                                                     : 0.;
    switch (options.mode) {
      case Mode::hybrid:
        scored.score = (1 - options.dense_weight) * scored.bm25 + options.dense_weight * dense;
        break;
      case Mode::dense:
        scored.score = scored.cosine.value_or(0);
        break;
      case Mode::bm25:
        scored.score = scored.bm25;
        break;
    }
    scored.score *= priors[scored.layer];
  }
  std::sort(all.begin(), all.end(), [](const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score > b.score : a.layer != b.layer ? a.layer < b.layer : a.id < b.id;
  });
  return all;
}

}  // namespace reef::retrieve
