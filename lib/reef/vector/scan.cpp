#include "reef/vector/scan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/share_work.h"
#include "reef/vector/internal/store_files.h"
#include "reef/vector/internal/top_k.h"
#include "reef/vector/kernels.h"

namespace reef::vector {
namespace {

using internal::better;
using internal::TopK;

constexpr std::size_t kBlock = 256;

/// The rows of [begin, end) that the filter lets pass, in ascending order.
class Rows {
 public:
  Rows(std::uint64_t begin, std::uint64_t end, const RowFilter& filter)
      : next_(begin), end_(end), dead_(filter.dead.begin(), filter.dead.end()) {
    if (filter.only) allowed_ = *filter.only;
    only_ = filter.only != nullptr;
    allowed_ = allowed_.subspan(lower_bound(allowed_, begin));
    dead_ = dead_.subspan(lower_bound(dead_, begin));
  }

  /// Up to kBlock more rows; empty at the end.
  std::span<const std::uint64_t> next_block() {
    std::size_t count = 0;
    std::uint64_t row = 0;
    while (count < kBlock && take(row)) {
      if (!is_dead(row)) block_[count++] = row;
    }
    return {block_.data(), count};
  }

 private:
  static std::size_t lower_bound(std::span<const std::uint64_t> rows, std::uint64_t row) {
    return static_cast<std::size_t>(std::lower_bound(rows.begin(), rows.end(), row) - rows.begin());
  }

  bool take(std::uint64_t& row) {
    if (!only_) {
      row = next_++;
      return row < end_;
    }
    if (allowed_.empty() || allowed_.front() >= end_) return false;
    row = allowed_.front();
    allowed_ = allowed_.subspan(1);
    return true;
  }

  bool is_dead(std::uint64_t row) {
    while (!dead_.empty() && dead_.front() < row) dead_ = dead_.subspan(1);
    return !dead_.empty() && dead_.front() == row;
  }

  std::uint64_t next_;
  std::uint64_t end_;
  bool only_ = false;
  std::span<const std::uint64_t> allowed_;
  std::span<const std::uint64_t> dead_;
  std::array<std::uint64_t, kBlock> block_;
};

/// Offers the approximate scores of `rows`, in units of the query's scale.
void score_codes(const CodeMatrix& codes, const std::int8_t* query, std::span<const std::uint64_t> rows, TopK& best) {
  const auto dot_four = kernels().dot_four;
  for (std::size_t i = 0; i < rows.size(); i += 4) {
    const std::size_t count = std::min<std::size_t>(4, rows.size() - i);
    const std::int8_t* pointers[4];
    for (std::size_t r = 0; r < 4; ++r) pointers[r] = codes.code(rows[i + std::min(r, count - 1)]);
    std::int32_t products[4];
    dot_four(query, pointers, codes.dim(), products);
    for (std::size_t r = 0; r < count; ++r) {
      best.offer(rows[i + r], static_cast<float>(products[r]) * codes.scale(rows[i + r]));
    }
  }
}

void score_floats(const NpyMatrix& vectors, std::span<const float> query, Rows& rows, TopK& best) {
  const auto inner_product = kernels().inner_product;
  for (auto block = rows.next_block(); !block.empty(); block = rows.next_block()) {
    check_interrupt();
    for (const std::uint64_t row : block) {
      best.offer(row, inner_product(query.data(), vectors.row(row).data(), query.size()));
    }
  }
}

/// The rows that codes find nearest, in ascending order.
std::vector<std::uint64_t> candidates(const CodeMatrix& codes, std::span<const float> query, std::size_t count,
                                      Rows rows) {
  std::vector<std::int8_t> coded(query.size());
  encode_row(query, coded.data());
  TopK best(count);
  for (auto block = rows.next_block(); !block.empty(); block = rows.next_block()) {
    check_interrupt();
    score_codes(codes, coded.data(), block, best);
  }
  std::vector<std::uint64_t> found;
  for (const Hit& hit : best.take()) found.push_back(hit.row);
  std::sort(found.begin(), found.end());
  return found;
}

/// Starts reading the candidates' vectors, all at once rather than one page fault after the other.
/// Costs 40 µs when they are in memory already, so only where a cold disk would cost far more: a small
/// file was read as a whole when it was opened (internal::load_if_small).
void read_candidates_ahead(const NpyMatrix& vectors, std::span<const std::uint64_t> rows) {
  if (vectors.file().size() <= internal::kSmallFile) return;
  for (const std::uint64_t row : rows) {
    const std::span<const float> values = vectors.row(row);
    const auto* const begin = reinterpret_cast<const std::uint8_t*>(values.data());
    vectors.file().read_ahead(static_cast<std::size_t>(begin - vectors.file().data()), values.size_bytes());
  }
}

std::vector<Hit> sorted(TopK& best) {
  std::vector<Hit> hits = best.take();
  std::sort(hits.begin(), hits.end(), better);
  return hits;
}

}  // namespace

std::vector<Hit> scan(const NpyMatrix& vectors, const CodeMatrix& codes, std::span<const float> query, std::size_t k,
                      std::uint64_t begin, std::uint64_t end, const RowFilter& filter) {
  end = std::min(end, vectors.rows());
  if (begin >= end || k == 0) return {};
  k = std::min<std::uint64_t>(k, end - begin);
  TopK best(k);
  const std::uint64_t coded_end = std::min(end, codes.rows());
  if (begin < coded_end) {
    const std::vector<std::uint64_t> nearest =
        candidates(codes, query, std::max(2 * k, k + 50), Rows(begin, coded_end, filter));
    read_candidates_ahead(vectors, nearest);
    for (const std::uint64_t row : nearest) {
      best.offer(row, kernels().inner_product(query.data(), vectors.row(row).data(), query.size()));
    }
  }
  Rows uncoded(std::max(begin, coded_end), end, filter);
  score_floats(vectors, query, uncoded, best);
  return sorted(best);
}

void score_exactly(const NpyMatrix& vectors, std::span<const float> query, std::vector<Hit>& hits, std::size_t k,
                   float doubt, bool read_rows) {
  constexpr std::ptrdiff_t kSurelyMore = 10;
  std::vector<float> copy(read_rows ? query.size() : 0);
  std::vector<float> best;  // the k best so far, the worst of them in front
  for (auto hit = hits.begin(); hit != hits.end(); ++hit) {
    const bool may_end = best.size() == k && hit - hits.begin() >= static_cast<std::ptrdiff_t>(k) + kSurelyMore;
    if (may_end && (k == 0 || hit->score + doubt < best.front())) {
      hits.erase(hit, hits.end());
      break;
    }
    const float* row = copy.data();
    if (read_rows)
      vectors.read_row(hit->row, copy);
    else
      row = vectors.row(hit->row).data();
    const float by_code = std::exchange(hit->score, kernels().inner_product(query.data(), row, query.size()));
    if (std::isnan(hit->score)) continue;
    doubt = std::max(doubt, std::abs(hit->score - by_code));
    best.push_back(hit->score);
    std::push_heap(best.begin(), best.end(), std::greater());
    if (best.size() <= k) continue;
    std::pop_heap(best.begin(), best.end(), std::greater());
    best.pop_back();
  }
  std::erase_if(hits, [](const Hit& hit) { return std::isnan(hit.score); });  // of a damaged row: in no order
  std::sort(hits.begin(), hits.end(), better);
}

std::vector<Hit> scan_exact(const NpyMatrix& vectors, std::span<const float> query, std::size_t k, std::uint64_t begin,
                            std::uint64_t end, const RowFilter& filter) {
  end = std::min(end, vectors.rows());
  if (begin >= end || k == 0) return {};
  TopK best(std::min<std::uint64_t>(k, end - begin));
  Rows rows(begin, end, filter);
  score_floats(vectors, query, rows, best);
  return sorted(best);
}

std::vector<Hit> scan_exact(const NpyMatrix& vectors, std::span<const float> query, std::size_t k, unsigned threads) {
  constexpr std::uint64_t kPiece = 8192;  // rows; fewer are no work for a thread of their own
  if (k == 0) return {};
  std::vector<std::vector<Hit>> pieces((vectors.rows() + kPiece - 1) / kPiece);
  const auto scan_piece = [&](std::size_t, std::size_t i) {
    pieces[i] = scan_exact(vectors, query, k, i * kPiece, (i + 1) * kPiece, {});
  };
  share_work(threads, pieces.size(), scan_piece, [] {});
  TopK best(k);
  for (const std::vector<Hit>& piece : pieces)
    for (const Hit& hit : piece) best.offer(hit.row, hit.score);
  return sorted(best);
}

}  // namespace reef::vector
