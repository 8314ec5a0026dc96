#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reef/vector/hnsw_file.h"
#include "reef/vector/internal/beam.h"
#include "reef/vector/scan.h"

namespace reef::vector {

/// Walks the graph of one file; holds what a walk needs, so that many questions share it. One thread at a time.
class HnswSearch {
 public:
  explicit HnswSearch(const HnswFile& file);

  /// The rows that best-first search of width `ef` (at least 1) meets nearest to `query` (dim() values), best first.
  /// Their scores come from the rows' codes: fit to choose candidates, not to be shown. Throws Error{corrupt} for a
  /// damaged file.
  std::vector<Hit> search(std::span<const float> query, std::size_t ef);
  /// What the codes' rounding may add to a score of the last search, or take from it: eight standard deviations.
  float doubt() const { return doubt_; }
  /// Whether the last search used the mapping; false after a first, narrow one, which copied what it looked at.
  bool maps_codes() const { return maps_codes_; }

 private:
  void fold(std::span<const float> query);
  void score(const std::uint32_t* ids, std::size_t count, std::int32_t* products);
  const std::uint8_t* code(std::uint32_t id, std::size_t slot);
  std::uint32_t descend();

  const HnswFile& file_;
  std::vector<std::uint64_t> visited_;
  std::vector<std::int16_t> weights_;
  std::vector<std::int8_t> high_, low_;  ///< of the weights, as WideQuery has them
  std::vector<std::uint8_t> copies_;     ///< of four codes, while they are read and not mapped
  bool first_ = true;
  bool maps_codes_ = true;
  float scale_ = 1;
  float bias_ = 0;
  float doubt_ = 0;
};

}  // namespace reef::vector
