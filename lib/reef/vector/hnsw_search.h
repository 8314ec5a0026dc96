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

  /// The rows that best-first search of width `ef` meets nearest to `query`, best first. Their scores come from 8-bit
  /// codes of both: fit to choose candidates, not to be shown. Throws Error{corrupt} for a damaged file.
  std::vector<Hit> search(std::span<const float> query, std::size_t ef);

 private:
  void fold(std::span<const float> query);
  void score(const std::uint32_t* ids, std::size_t count, std::int32_t* products) const;
  std::uint32_t descend() const;

  const HnswFile& file_;
  std::vector<std::uint64_t> visited_;
  std::vector<std::int8_t> weights_;
  float scale_ = 1;
  float bias_ = 0;
};

}  // namespace reef::vector
