#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reef/memory/internal/code_rows.h"

namespace reef::memory::internal {

/// A memory that lies near another one.
struct Neighbour {
  std::int64_t id = 0;
  float cosine = 0;     ///< by 8-bit codes: within .01 of the floats'
  double entities = 0;  ///< Jaccard's index of the entities, weighted by their idf
  double weight() const { return .6 * cosine + .4 * entities; }
};

/// What lay near a vector among the memories at positions [begin, end).
struct Scan {
  std::size_t begin = 0, end = 0;
  Best best;
};

/// Scans for vectors while memories are added: it has those that were there when it was made.
class Scanner {
 public:
  /// So many memories may be added before a scan is out of date. It leaves out the oldest ones of as many: by then they
  /// are no longer among the newest kScanned.
  static constexpr std::size_t kRecent = 512;

  Scanner(CodeRows rows, std::size_t begin, std::size_t most) : rows_(std::move(rows)), begin_(begin), most_(most) {}
  /// rows: n x dim, one after the other. Nothing comes of them while no memory has a vector.
  std::vector<Scan> scan(std::span<const float> rows, unsigned threads) const;

 private:
  CodeRows rows_;
  std::size_t begin_, most_;
};

/// The memories of a persona as 8-bit codes, words and entities, to find those near a new one.
///
/// The newest kScanned are all compared; of older ones those that share a rare word or an entity. So a run that adds
/// many costs the same for each, however large the store is, and up to kScanned memories nothing is missed.
class Neighbours {
 public:
  static constexpr std::size_t kScanned = 16'384;

  /// Memories in the order of their ids. An empty vector: it has none.
  void add(std::int64_t id, std::span<const float> vector, std::span<const std::int64_t> entities,
           std::string_view content);
  void add_entities(std::int64_t id, std::span<const std::int64_t> entities);

  /// What may be near: the `nearest` by cosine, and all that share an entity (those of rare ones first,
  /// kEntityCandidates at most). Best cosine first, then by id. `scanned`: of a scanner() for as many, with this
  /// vector: only what was added since is compared then, and the same is found.
  std::vector<Neighbour> find(std::span<const float> vector, std::span<const std::int64_t> entities,
                              std::string_view content, std::size_t nearest, const Scan* scanned = nullptr) const;
  Scanner scanner(std::size_t nearest) const;
  bool is_recent(const Scan& scan) const { return scan.end + Scanner::kRecent >= ids_.size(); }

  /// Sorted. The memory must have been added.
  std::span<const std::int64_t> entities_of(std::int64_t id) const { return entities_[position_of_.at(id)]; }
  std::size_t size() const { return ids_.size(); }
  std::size_t vectors() const { return vectors_; }
  /// The q-quantile of the cosines of pairs drawn at random (always the same ones for a number of memories).
  double cosine_quantile(double q) const;

 private:
  static constexpr std::size_t kEntityCandidates = 512;
  static constexpr std::size_t kRare = 64;  ///< memories that hold a word; words of more tell nothing

  using Positions = std::vector<std::uint32_t>;

  Positions candidates(std::span<const std::int64_t> entities, std::string_view content) const;
  Positions sharing(std::span<const std::int64_t> entities) const;
  double entity_overlap(std::span<const std::int64_t> a, std::span<const std::int64_t> b) const;
  double idf(std::int64_t entity) const;
  std::size_t scanned_begin() const { return ids_.size() - std::min(ids_.size(), kScanned); }
  Best best_of(const CodeRows::Query& query, std::size_t nearest, const Scan* scanned) const;

  CodeRows rows_;
  std::size_t vectors_ = 0;
  std::vector<std::int64_t> ids_;
  std::vector<std::vector<std::int64_t>> entities_;  ///< sorted
  std::unordered_map<std::int64_t, std::uint32_t> position_of_;
  std::unordered_map<std::int64_t, Positions> by_entity_;
  std::unordered_map<std::uint64_t, Positions> by_word_;
};

}  // namespace reef::memory::internal
