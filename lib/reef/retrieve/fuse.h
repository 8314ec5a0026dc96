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

/// Searches every layer both ways and puts the scores on one scale, best first:
///
/// 1. BM25 in a layer uses that layer's own idf; under 200 rows, where idf says little, the idf of
///    all layers together.
/// 2. Each layer's BM25 is scaled so that its largest is what it would be under the idf of all
///    layers, then all are divided by the largest of all layers.
/// 3. Cosines are scaled by one low and high, those of the candidates left when all layers together
///    are cut to the best by cosine and the best by BM25; below low counts 0.
/// 4. score = (1 - w) bm25 + w cosine, times the layer's prior.
///
/// Normalising each layer by itself would make the best of three unrelated memories as good as the
/// answer: that cost .021 nDCG@10 on SciFact.
std::vector<Scored> search_and_fuse(const std::vector<std::unique_ptr<Layer>>& layers,
                                    const std::vector<double>& priors, const Question& question,
                                    const FuseOptions& options);

}  // namespace reef::retrieve
