#include "reef/memory/internal/code_rows.h"

#include <algorithm>
#include <numeric>

#include "reef/core/share_work.h"
#include "reef/vector/codes.h"
#include "reef/vector/kernels.h"

namespace reef::memory::internal {
namespace {

constexpr int kOffset = 128;

std::int32_t excess_of(std::span<const std::int8_t> code) {
  return kOffset * std::accumulate(code.begin(), code.end(), std::int32_t{0});
}

}  // namespace

void Best::insert(const Hit& hit) {
  if (is_full()) hits_.pop_back();
  hits_.insert(std::upper_bound(hits_.begin(), hits_.end(), hit, is_better), hit);
}

void CodeRows::add(std::span<const float> vector) {
  if (dim_ == 0 && !vector.empty()) {
    dim_ = vector.size();
    for (const auto& block : blocks_) block->codes.resize(kBlock * dim_);
  }
  const std::size_t place = size_ % kBlock;
  if (place == 0) blocks_.emplace_back(std::make_shared<Block>())->codes.resize(kBlock * dim_);
  Block& block = *blocks_.back();
  if (!vector.empty() && vector.size() == dim_) {
    const Query coded = query(vector);
    std::transform(coded.code.begin(), coded.code.end(),
                   block.codes.begin() + static_cast<std::ptrdiff_t>(place * dim_),
                   [](std::int8_t value) { return static_cast<std::uint8_t>(value + kOffset); });
    block.scales[place] = coded.scale;
  }
  ++size_;
}

CodeRows CodeRows::since(std::size_t begin) const {
  CodeRows rows;
  rows.dim_ = dim_;
  rows.size_ = size_;
  rows.first_block_ = begin / kBlock;
  rows.blocks_.assign(blocks_.begin() + static_cast<std::ptrdiff_t>(rows.first_block_ - first_block_), blocks_.end());
  return rows;
}

CodeRows::Query CodeRows::query(std::span<const float> vector) const {
  Query query{std::vector<std::int8_t>(dim_)};
  query.scale = vector::encode_row(vector, query.code.data());
  query.excess = excess_of(query.code);
  return query;
}

CodeRows::Query CodeRows::query(std::size_t i) const {
  Query query{std::vector<std::int8_t>(dim_), block_of(i).scales[i % kBlock]};
  std::transform(code(i), code(i) + dim_, query.code.begin(),
                 [](std::uint8_t value) { return static_cast<std::int8_t>(value - kOffset); });
  query.excess = excess_of(query.code);
  return query;
}

float CodeRows::cosine(const Query& query, std::size_t i) const {
  const std::array<const std::uint8_t*, 4> rows{code(i), code(i), code(i), code(i)};
  std::array<std::int32_t, 4> products;
  vector::kernels().dot_four_unsigned(query.code.data(), rows.data(), dim_, products.data());
  return static_cast<float>(products[0] - query.excess) * query.scale * block_of(i).scales[i % kBlock];
}

void CodeRows::compare(const Query& query, std::size_t begin, std::size_t end, Best& best) const {
  const auto dot_four = vector::kernels().dot_four_unsigned;
  std::array<std::int32_t, kBlock> products;
  std::array<float, kBlock> cosines;
  while (begin < end) {
    const Block& block = block_of(begin);
    const std::size_t first = begin % kBlock, count = std::min(kBlock - first, end - begin);
    const float* const scales = block.scales.data() + first;
    // Rows behind the last one may be written meanwhile.
    for (std::size_t i = 0; i < count; i += 4) {
      std::array<const std::uint8_t*, 4> rows;
      for (std::size_t j = 0; j < 4; ++j) rows[j] = block.codes.data() + (first + std::min(i + j, count - 1)) * dim_;
      dot_four(query.code.data(), rows.data(), dim_, products.data() + i);
    }
    const auto scale = [&](std::size_t i) {
      cosines[i] = static_cast<float>(products[i] - query.excess) * query.scale * scales[i];
    };
    if (count == kBlock)
      for (std::size_t i = 0; i < kBlock; ++i) scale(i);  // so often that it becomes vector instructions
    else
      for (std::size_t i = 0; i < count; ++i) scale(i);
    for (std::size_t i = 0; i < count; ++i)
      if (cosines[i] >= best.least() && scales[i] != 0) best.offer(cosines[i], static_cast<std::uint32_t>(begin + i));
    begin += count;
  }
}

std::vector<Best> CodeRows::nearest(std::span<const float> rows, std::size_t most, std::size_t begin,
                                    unsigned threads) const {
  constexpr std::size_t kPiece = 32;
  if (dim_ == 0) return {};
  const std::size_t count = rows.size() / dim_;
  std::vector<Best> found(count, Best(most));
  const auto find_piece = [&](std::size_t, std::size_t piece) {
    const std::size_t first = piece * kPiece, last = std::min(count, first + kPiece);
    std::vector<Query> queries;
    for (std::size_t i = first; i < last; ++i) queries.push_back(query(rows.subspan(i * dim_, dim_)));
    for (std::size_t at = begin; at < size_; at = (at / kBlock + 1) * kBlock)
      for (std::size_t i = first; i < last; ++i)
        compare(queries[i - first], at, std::min(size_, (at / kBlock + 1) * kBlock), found[i]);
  };
  share_work(threads, (count + kPiece - 1) / kPiece, find_piece, [] {});
  return found;
}

}  // namespace reef::memory::internal
