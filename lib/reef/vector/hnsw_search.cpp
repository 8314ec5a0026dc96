#include "reef/vector/hnsw_search.h"

#include <algorithm>
#include <cmath>

#include "reef/vector/kernels.h"

namespace reef::vector {

HnswSearch::HnswSearch(const HnswFile& file) : file_(file), visited_((file.rows() + 63) / 64), weights_(file.dim()) {}

/// A code c_j stands for minimum_j + (c_j + .5) / 255 range_j. With range folded into the query, the product of a row
/// is bias + scale * Σ weight_j c_j: one sum of integers, and its order is the order of the scores.
void HnswSearch::fold(std::span<const float> query) {
  std::vector<float> folded(query.size());
  float largest = 0;
  double bias = 0;
  for (std::size_t j = 0; j < query.size(); ++j) {
    folded[j] = query[j] * file_.range()[j] / 255;
    bias += static_cast<double>(query[j]) * (static_cast<double>(file_.minimum()[j]) + file_.range()[j] / 510.0);
    largest = std::max(largest, std::abs(folded[j]));
  }
  scale_ = largest > 0 ? largest / 127 : 1;
  for (std::size_t j = 0; j < query.size(); ++j) {
    weights_[j] = static_cast<std::int8_t>(std::lrint(folded[j] / scale_));
    bias += static_cast<double>(folded[j] - static_cast<float>(weights_[j]) * scale_) * 127.5;  // at a mean code
  }
  bias_ = static_cast<float>(bias);
}

void HnswSearch::score(const std::uint32_t* ids, std::size_t count, std::int32_t* products) const {
  const auto dot_four = kernels().dot_four_unsigned;
  for (std::size_t j = 0; j < count; j += 4) {
    const std::uint8_t* rows[4];
    for (std::size_t t = 0; t < 4; ++t) rows[t] = file_.code(ids[std::min(j + t, count - 1)]);
    for (std::size_t t = j + 8; t < std::min(j + 12, count); ++t) internal::prefetch(file_.code(ids[t]), file_.dim());
    std::int32_t four[4];
    dot_four(weights_.data(), rows, file_.dim(), four);
    for (std::size_t t = 0; t < std::min<std::size_t>(4, count - j); ++t) products[j + t] = four[t];
  }
}

/// The nearest row by greedy steps down to level 0.
std::uint32_t HnswSearch::descend() const {
  std::uint32_t best = file_.entry(), ids[HnswFile::kMostLinks];
  std::int32_t product = 0, found[HnswFile::kMostLinks];
  score(&best, 1, &product);
  for (int level = file_.top_level(); level > 0; --level) {
    for (bool moved = true; moved;) {
      moved = false;
      const std::size_t count = file_.links(best, level, ids);
      score(ids, count, found);
      for (std::size_t j = 0; j < count; ++j) {
        if (found[j] <= product) continue;
        product = found[j];
        best = ids[j];
        moved = true;
      }
    }
  }
  return best;
}

std::vector<Hit> HnswSearch::search(std::span<const float> query, std::size_t ef) {
  fold(query);
  std::fill(visited_.begin(), visited_.end(), 0);
  internal::Beam<std::int32_t> beam(ef);
  const std::uint32_t start = descend();
  std::int32_t found[HnswFile::kMostLinks];
  std::uint32_t ids[HnswFile::kMostLinks];
  score(&start, 1, found);
  visited_[start >> 6] |= std::uint64_t{1} << (start & 63);
  beam.start(-found[0], start);
  while (const auto next = beam.expand_next()) {
    const std::size_t linked = file_.links(*next, 0, ids);
    std::size_t count = 0;
    for (std::size_t j = 0; j < linked; ++j) {
      std::uint64_t& word = visited_[ids[j] >> 6];
      const std::uint64_t bit = std::uint64_t{1} << (ids[j] & 63);
      if ((word & bit) != 0) continue;
      word |= bit;
      if (count < 8) internal::prefetch(file_.code(ids[j]), file_.dim());
      ids[count++] = ids[j];
    }
    score(ids, count, found);
    for (std::size_t j = 0; j < count; ++j) beam.offer(-found[j], ids[j]);
    if (const auto after = beam.peek_next())
      if (const auto* links = file_.base_links(*after)) internal::prefetch(links, HnswGraph::kBaseLinks * 4);
  }
  std::vector<Hit> hits;
  hits.reserve(beam.entries().size());
  for (const auto& entry : beam.entries())
    hits.push_back({entry.id(), bias_ + scale_ * static_cast<float>(-entry.distance)});
  return hits;
}

}  // namespace reef::vector
