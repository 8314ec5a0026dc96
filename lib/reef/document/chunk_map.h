#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "reef/io/sqlite.h"

namespace reef::document {

/// What a query asks of every chunk, 6 bytes each: how many words it has, whether it has a vector,
/// and in which row. Kept beside the tables in pages of kPage chunks, since a lookup in the b-tree
/// for each candidate costs more than the search: FTS5's own bm25() spends half of its 4.4 ms on
/// 5,183 documents on lengths.
///
/// Chunks get ids and vectors get rows in the same order, so that rows grow with ids and a row's
/// chunk is found by bisection.
class ChunkMap {
 public:
  static constexpr std::int64_t kPage = 4096;

  void load(io::Database& database);
  /// 0 for a chunk that does not exist.
  std::uint32_t words(std::int64_t chunk) const { return at(chunk).words & kWords; }
  bool text_only(std::int64_t chunk) const { return (at(chunk).words & kTextOnly) != 0; }
  /// nullopt for a chunk that does not exist or has no vector.
  std::optional<std::uint64_t> row(std::int64_t chunk) const;
  /// The chunk whose vector stands in that row; nullopt when it was removed.
  std::optional<std::int64_t> chunk_of_row(std::uint64_t row) const;
  std::int64_t rows(bool text_only) const { return rows_[text_only ? 1 : 0]; }
  std::int64_t words_in_all(bool text_only) const { return words_[text_only ? 1 : 0]; }

  /// Records the chunks that a transaction added (ids and rows growing) or removed; save() belongs
  /// into it.
  void set(std::int64_t chunk, std::uint32_t words, std::optional<std::uint64_t> row);
  void clear(std::int64_t chunk);
  /// Rows were written anew without the removed ones: kept[i] is now row i. For every chunk there is.
  void renumber(std::span<const std::uint64_t> kept);
  void save(io::Database& database);

 private:
  /// A chunk without a vector repeats the row before it: the rows stay sorted.
  struct Entry {
    std::uint16_t words = 0;
    std::uint16_t row_low = 0;
    std::uint16_t row_high = 0;
    std::uint32_t row() const { return row_low | static_cast<std::uint32_t>(row_high) << 16; }
  };
  static constexpr std::uint16_t kTextOnly = 0x8000, kWords = 0x7fff;

  Entry at(std::int64_t chunk) const {
    return chunk >= 0 && static_cast<std::size_t>(chunk) < entries_.size() ? entries_[static_cast<std::size_t>(chunk)]
                                                                           : Entry{};
  }
  void count(const Entry& entry, std::int64_t sign);
  void touch(std::int64_t chunk);

  std::vector<Entry> entries_;
  std::vector<std::int64_t> changed_;  ///< pages
  std::int64_t rows_[2] = {0, 0};
  std::int64_t words_[2] = {0, 0};
};

}  // namespace reef::document
