#include "reef/vector/hnsw_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "reef/core/error.h"
#include "reef/vector/kernels.h"

namespace reef::vector {

HnswSearch::HnswSearch(const HnswFile& file)
    : file_(file),
      visited_((file.rows() + 63) / 64),
      weights_(file.dim()),
      high_(file.dim()),
      low_(file.dim()),
      copies_(4 * file.dim()) {}

/// A code c_j stands for minimum_j + (c_j + .5) / 255 range_j. With range folded into the query, the product of a row
/// is bias + scale * Σ weight_j c_j: one sum of integers, and its order is the order of the scores. Weights of 15 bits
/// find the very rows that FAISS finds with floats; those of 8 bits differ in one of a hundred.
void HnswSearch::fold(std::span<const float> query) {
  std::vector<float> folded(query.size());
  double largest = 0, sum = 0, bias = 0, variance = 0;
  for (std::size_t j = 0; j < query.size(); ++j) {
    folded[j] = query[j] * file_.range()[j] / 255;
    bias += static_cast<double>(query[j]) * (static_cast<double>(file_.minimum()[j]) + file_.range()[j] / 510.0);
    largest = std::max(largest, static_cast<double>(std::abs(folded[j])));
    sum += static_cast<double>(std::abs(folded[j]));
    variance += static_cast<double>(folded[j]) * static_cast<double>(folded[j]) / 12;  // of a value in a step of 1
  }
  // Such that no product of the kernel overflows: Σ|weight| <= sum / scale + dim / 2, for each is rounded.
  const double most = (static_cast<double>(INT32_MAX) / 255 - static_cast<double>(query.size())) * .999;
  const double scale = std::max(largest / WideQuery::kLargest, sum / std::max(most, 1.0));
  for (std::size_t j = 0; j < query.size(); ++j) {
    const long weight = scale > 0 ? std::lrint(static_cast<double>(folded[j]) / scale) : 0;
    weights_[j] = static_cast<std::int16_t>(weight);
    high_[j] = static_cast<std::int8_t>((weight + 64) >> 7);
    low_[j] = static_cast<std::int8_t>(weight - 128 * high_[j]);
    bias += (static_cast<double>(folded[j]) - static_cast<double>(weight) * scale) * 127.5;  // at a mean code
  }
  scale_ = static_cast<float>(scale);
  bias_ = static_cast<float>(bias);
  constexpr double kDeviations = 8;  // values beyond the range of the codes, one of 10,000, are off by more
  doubt_ = static_cast<float>(kDeviations * std::sqrt(variance));
}

/// A question touches thousands of rows all over the file, and each access to the mapping may add 2 MiB to this
/// process, until the whole file is in it. A process that asks for few rows once reads them instead, a microsecond
/// each: 2 ms more, and a seventh of the memory. A wide search and the questions that follow are worth the mapping.
/// (A second thread that read half of them saved nothing.)
const std::uint8_t* HnswSearch::code(std::uint32_t id, std::size_t slot) {
  if (maps_codes_) return file_.code(id);
  std::uint8_t* const copy = copies_.data() + slot * file_.dim();
  file_.read_code(id, copy);
  return copy;
}

void HnswSearch::score(const std::uint32_t* ids, std::size_t count, std::int32_t* products) {
  const auto dot_four = kernels().dot_four_wide;
  const WideQuery query{weights_.data(), high_.data(), low_.data()};
  for (std::size_t j = 0; j < count; j += 4) {
    const std::uint8_t* rows[4];
    for (std::size_t t = 0; t < 4; ++t) rows[t] = j + t < count ? code(ids[j + t], t) : rows[0];
    for (std::size_t t = j + internal::kRowsAhead; maps_codes_ && t < std::min(j + internal::kRowsAhead + 4, count);
         ++t)
      internal::prefetch(file_.code(ids[t]), file_.dim());
    std::int32_t four[4];
    dot_four(query, rows, file_.dim(), four);
    for (std::size_t t = 0; t < std::min<std::size_t>(4, count - j); ++t) products[j + t] = four[t];
  }
}

/// The nearest row by greedy steps down to level 0.
std::uint32_t HnswSearch::descend() {
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
  if (query.size() != file_.dim())
    throw Error(Errc::usage, fmt::format("a question of {} values for an index of {}", query.size(), file_.dim()), "");
  constexpr std::size_t kFewRows = 96;
  maps_codes_ = !std::exchange(first_, false) || ef > kFewRows;
  fold(query);
  std::fill(visited_.begin(), visited_.end(), 0);
  internal::Beam<std::int32_t> beam(std::max<std::size_t>(ef, 1));
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
      if (maps_codes_ && count < internal::kRowsAhead) internal::prefetch(file_.code(ids[j]), file_.dim());
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
