#include "reef/vector/internal/recall_sample.h"

#include <algorithm>
#include <limits>

#include "reef/core/cancel.h"
#include "reef/core/share_work.h"
#include "reef/vector/internal/candidates.h"
#include "reef/vector/internal/top_k.h"
#include "reef/vector/kernels.h"

namespace reef::vector::internal {
namespace {

constexpr std::size_t kQuestions = 100;

/// Best `k` rows of each question, `score(question, row)` telling how near; blocks of rows are shared by all questions,
/// so that they are read from memory once.
template <typename Score>
std::vector<std::vector<Hit>> nearest_of_all(std::size_t questions, std::uint64_t rows, std::size_t k, unsigned threads,
                                             const Score& score) {
  std::vector<std::vector<Hit>> found(questions);
  const std::size_t share = (questions + threads - 1) / threads;
  const auto work = [&](std::size_t, std::size_t item) {
    const std::size_t begin = item * share, end = std::min(questions, begin + share);
    std::vector<TopK> best(end > begin ? end - begin : 0, TopK(k));
    constexpr std::uint64_t kBlock = 64;
    for (std::uint64_t block = 0; block < rows; block += kBlock) {
      if (block % (kBlock * 256) == 0) check_interrupt();
      for (std::size_t q = begin; q < end; ++q)
        for (std::uint64_t row = block; row < std::min(rows, block + kBlock); ++row)
          best[q - begin].offer(row, score(q, row));
    }
    for (std::size_t q = begin; q < end; ++q) found[q] = best[q - begin].take();
  };
  share_work(threads, threads, work, [] {});
  return found;
}

}  // namespace

RecallSampler::RecallSampler(const NpyMatrix& vectors, unsigned threads)
    : vectors_(vectors), threads_(threads), truth_(std::min<std::uint64_t>(kQuestions, vectors.rows())) {
  truth_ = nearest_of_all(questions(), vectors.rows(), kNearest, threads, [&](std::size_t q, std::uint64_t row) {
    return kernels().inner_product(vectors_.row(question_row(q)).data(), vectors_.row(row).data(), vectors_.dim());
  });
  for (auto& hits : truth_) std::sort(hits.begin(), hits.end(), better);
}

std::size_t RecallSampler::found(std::size_t q, std::vector<Hit> hits) const {
  if (truth_[q].empty()) return 0;
  if (hits.size() > truth_[q].size()) hits.resize(truth_[q].size());
  const float tenth = truth_[q].back().score;
  return static_cast<std::size_t>(
      std::count_if(hits.begin(), hits.end(), [&](const Hit& hit) { return hit.score >= tenth; }));
}

double RecallSampler::of_codes(const UniformCodes& codes) const {
  std::vector<std::vector<std::int8_t>> coded(questions(), std::vector<std::int8_t>(codes.dim()));
  for (std::size_t q = 0; q < questions(); ++q) to_signed(codes.row(question_row(q)), codes.dim(), coded[q].data());
  const auto score = [&](std::size_t q, std::uint64_t row) {
    const std::uint8_t* const four[4] = {codes.row(row), codes.row(row), codes.row(row), codes.row(row)};
    std::int32_t products[4];
    kernels().dot_four_unsigned(coded[q].data(), four, codes.dim(), products);
    return static_cast<float>(products[0]);
  };
  auto hits = nearest_of_all(questions(), codes.rows(), graph_candidates(kNearest), threads_, score);
  std::size_t common = 0, all = 0;
  for (std::size_t q = 0; q < questions(); ++q) {
    score_exactly(vectors_, vectors_.row(question_row(q)), hits[q], kNearest, std::numeric_limits<float>::infinity(),
                  false);
    common += found(q, std::move(hits[q]));
    all += truth_[q].size();
  }
  return static_cast<double>(common) / static_cast<double>(std::max<std::size_t>(all, 1));
}

double RecallSampler::of(const std::function<std::vector<Hit>(std::span<const float>)>& search) const {
  std::size_t common = 0, all = 0;
  for (std::size_t q = 0; q < questions(); ++q) {
    check_interrupt();
    common += found(q, search(vectors_.row(question_row(q))));
    all += truth_[q].size();
  }
  return static_cast<double>(common) / static_cast<double>(std::max<std::size_t>(all, 1));
}

}  // namespace reef::vector::internal
