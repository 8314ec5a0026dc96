#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "reef/io/huge_array.h"
#include "reef/vector/uniform_codes.h"

namespace reef::vector {

/// Links of a hierarchical navigable small world (Malkov and Yashunin, arXiv:1603.09320): every row has up to 2M
/// links on level 0, and up to M on each level above that it reaches.
class HnswGraph {
 public:
  static constexpr std::size_t kM = 32;
  static constexpr std::size_t kBaseLinks = 2 * kM;
  static constexpr std::size_t kUpperLinks = kM;
  static constexpr int kLevels = 6;  ///< the most that a row can have

  std::size_t rows() const { return top_level_.size(); }
  std::uint32_t entry() const { return entry_; }
  int top_level(std::size_t row) const { return top_level_[row]; }
  std::span<const std::uint32_t> links(std::size_t row, int level) const {
    if (level > 0) return upper_[row][static_cast<std::size_t>(level - 1)].ids;
    return {base_ids_.data() + row * kBaseLinks, base_count_[row]};
  }

 private:
  friend class HnswBuilder;
  /// `distances` beside `ids`: pruning compares them again and again.
  struct List {
    std::vector<std::uint32_t> ids;
    std::vector<std::int32_t> distances;
  };
  explicit HnswGraph(std::size_t rows)
      : base_ids_(rows * kBaseLinks),
        base_distances_(rows * kBaseLinks),
        base_count_(rows),
        top_level_(rows),
        upper_(rows) {}

  io::HugeArray<std::uint32_t> base_ids_;
  io::HugeArray<std::int32_t> base_distances_;
  std::vector<std::uint8_t> base_count_;
  std::vector<std::uint8_t> top_level_;
  std::vector<std::vector<List>> upper_;
  std::uint32_t entry_ = 0;
};

struct HnswOptions {
  std::size_t ef_construction = 200;
  unsigned threads = 1;
};

/// Builds the graph from integer products of codes alone: the same graph for any number of threads and on every
/// instruction set. `on_rows` learns on the calling thread how many rows were linked since it was called last.
/// Takes 512 bytes a row beside the codes. Throws Error{interrupted} on a signal.
HnswGraph build_hnsw(const UniformCodes& codes, const HnswOptions& options,
                     const std::function<void(std::uint64_t)>& on_rows);

}  // namespace reef::vector
