#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace reef::memory::internal {

/// The best by cosine, then by position, of those that were offered.
class Best {
 public:
  using Hit = std::pair<float, std::uint32_t>;  ///< cosine, position

  explicit Best(std::size_t most) : most_(most) {}
  void offer(float cosine, std::uint32_t position) {
    if (most_ > 0 && (!is_full() || is_better({cosine, position}, hits_.back()))) insert({cosine, position});
  }
  bool is_full() const { return hits_.size() == most_; }
  const std::vector<Hit>& hits() const { return hits_; }  ///< best first
  /// No less than this is worth an offer.
  float least() const { return !hits_.empty() && is_full() ? hits_.back().first : -2; }

 private:
  static bool is_better(const Hit& a, const Hit& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  }
  void insert(const Hit& hit);

  std::size_t most_;
  std::vector<Hit> hits_;
};

/// Unit vectors as 8-bit codes, to be compared with others; some places have none.
///
/// Rows stay where they are while more are added, and copies share them: another thread may scan a copy, which has the
/// rows that were there when it was made, while the first one goes on adding.
class CodeRows {
 public:
  /// A vector as it is compared.
  struct Query {
    std::vector<std::int8_t> code;
    float scale = 0;
    std::int32_t excess = 0;  ///< what the rows' offset of 128 adds to each product
  };

  /// The size of the first vector is that of all. Empty, or of another size: none at this place.
  void add(std::span<const float> vector);
  /// Those of [begin, size()) alone, in the same places.
  CodeRows since(std::size_t begin) const;

  std::size_t size() const { return size_; }
  std::size_t dim() const { return dim_; }  ///< 0: there are no vectors
  bool has_vector(std::size_t i) const { return block_of(i).scales[i % kBlock] != 0; }

  Query query(std::span<const float> vector) const;
  Query query(std::size_t i) const;
  float cosine(const Query& query, std::size_t i) const;
  /// Offers those of [begin, end).
  void compare(const Query& query, std::size_t begin, std::size_t end, Best& best) const;
  /// The nearest of [begin, size()) to each of `rows` (n x dim, one after the other), on `threads` threads: many at
  /// once cost less, for rows are compared with all of them while they are in the processor's cache.
  std::vector<Best> nearest(std::span<const float> rows, std::size_t most, std::size_t begin, unsigned threads) const;

 private:
  static constexpr std::size_t kBlock = 64;  ///< 24 KiB of 384 dimensions
  struct Block {
    std::vector<std::uint8_t> codes;  ///< + 128, as the kernels take them
    std::array<float, kBlock> scales{};
  };

  const Block& block_of(std::size_t i) const { return *blocks_[i / kBlock - first_block_]; }
  const std::uint8_t* code(std::size_t i) const { return block_of(i).codes.data() + i % kBlock * dim_; }

  std::size_t dim_ = 0;
  std::size_t size_ = 0;
  std::size_t first_block_ = 0;
  std::vector<std::shared_ptr<Block>> blocks_;
};

}  // namespace reef::memory::internal
