#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "reef/retrieve/layer.h"

namespace reef::retrieve {

enum class Mode { hybrid, dense, bm25 };

struct FuseOptions {
  Mode mode = Mode::hybrid;
  double dense_weight = .5;      ///< share of the cosine in a hybrid score
  std::size_t candidates = 100;  ///< of each search in each layer
};

/// A candidate of one layer with its fused score, before anything was read of it.
struct Scored {
  std::size_t layer = 0;  ///< index into the layers
  std::int64_t id = 0;
  double score = 0;
  double bm25 = 0;
  std::optional<double> cosine;
};

/// One question put to several layers: searches each both ways and puts the scores on one scale.
///
/// 1. BM25 in a layer uses that layer's own idf; under 200 rows, where idf says little, the idf of
///    all layers together.
/// 2. Each layer's BM25 is scaled so that its largest is what it would be under the idf of all
///    layers, then all are divided by the largest of all layers.
/// 3. Cosines are scaled by one low and high, those of the candidates left when all layers together
///    are cut to the best by cosine and the best by BM25; below low counts 0. Cosines of two models
///    say nothing of each other: layers of each have a low and high of their own, and where there is
///    more than one, dense search is ranked by the scaled cosine, too.
/// 4. score = (1 - w) bm25 + w cosine, times the layer's prior, plus its bonus, but in dense search.
///
/// Normalising each layer by itself would make the best of three unrelated memories as good as the
/// answer: that cost .021 nDCG@10 on SciFact.
///
/// Where one long document fills all places among the candidates, the caller lets the layers leave
/// out what it has (Layer::leave_out) and asks again. The scale is that of the first round for good:
/// a result keeps its score, and so results their order, however often is asked again. What comes
/// later is as a rule below all of the first round; what has no word of the question and a cosine
/// under that round's low scores 0, and is ordered by its cosine.
class Fusion {
 public:
  /// Layers, priors and question are kept by reference.
  Fusion(const std::vector<std::shared_ptr<Layer>>& layers, const std::vector<double>& priors, const Question& question,
         const FuseOptions& options);

  /// The candidates that the layers give, at most `count` of each search in each layer, best first.
  std::vector<Scored> search(std::size_t count);
  std::vector<Scored> search() { return search(options_.candidates); }
  /// Whether a search gave as many as it was asked for, so that there may be more.
  bool was_cut() const { return was_cut_; }

 private:
  /// What rules 1 to 3 say of one layer.
  struct LayerScale {
    std::vector<double> idf;
    std::optional<double> factor;  ///< of BM25; known once words were found
    double low = 1, high = -1;     ///< cosines that count 0 and 1
  };
  std::vector<Scored> candidates_of(std::size_t layer, std::size_t count);
  void fix_scale(const std::vector<Scored>& all);
  double score_of(const Scored& scored) const;

  const std::vector<std::shared_ptr<Layer>>& layers_;
  const std::vector<double>& priors_;
  const Question& question_;
  FuseOptions options_;
  std::vector<double> pooled_idf_;
  std::vector<LayerScale> scales_;
  bool has_scale_ = false;
  double largest_bm25_ = 0;
  bool one_space_ = true;  ///< all cosines are of one model
  bool was_cut_ = false;
};

}  // namespace reef::retrieve
