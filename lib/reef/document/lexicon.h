#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/io/sqlite.h"

namespace reef::document {

/// The words of a question that BM25 looks for: lower case, each once, without stop words (all of
/// them when nothing else is left). FTS5 stems them itself.
std::vector<std::string> query_terms(std::string_view text);

/// Where one term occurs: chunks ascending, and how often in each.
struct Postings {
  std::vector<std::int64_t> chunks;
  std::vector<std::uint32_t> counts;
};

/// Number of words of every chunk, with the mark of those that have no vector. Kept beside the
/// FTS5 table in pages of kPage chunks, since FTS5's own bm25() looks the length of each row up
/// in a b-tree: that alone is half of its 4.4 ms on 5,183 documents.
class ChunkLengths {
 public:
  static constexpr std::int64_t kPage = 4096;

  void load(io::Database& database);
  /// 0 for a chunk that does not exist.
  std::uint32_t words(std::int64_t chunk) const { return at(chunk) & kWords; }
  bool text_only(std::int64_t chunk) const { return (at(chunk) & kTextOnly) != 0; }
  std::int64_t rows(bool text_only) const { return rows_[text_only ? 1 : 0]; }
  double mean_words(bool text_only) const;

  /// Records the chunks that a transaction added or removed; save() belongs into it.
  void set(std::int64_t chunk, std::uint32_t words, bool text_only);
  void clear(std::int64_t chunk);
  void save(io::Database& database);

 private:
  static constexpr std::uint16_t kTextOnly = 0x8000, kWords = 0x7fff;
  std::uint16_t at(std::int64_t chunk) const {
    return chunk >= 0 && static_cast<std::size_t>(chunk) < entries_.size() ? entries_[static_cast<std::size_t>(chunk)] : std::uint16_t{0};
  }
  void count(std::uint16_t entry, std::int64_t sign);

  std::vector<std::uint16_t> entries_;
  std::vector<std::int64_t> changed_;  ///< pages
  std::int64_t rows_[2] = {0, 0};
  std::int64_t words_[2] = {0, 0};
};

/// Postings of all terms in one pass through FTS5's own cursors, df and tf together: its bm25()
/// walks them twice, row by row through the OR of all terms. One object for each connection.
class PostingsFinder {
 public:
  explicit PostingsFinder(io::Database& database);
  std::vector<Postings> find(std::span<const std::string> terms);

 private:
  io::Statement statement_;
  std::unique_ptr<std::vector<Postings>> found_;  ///< its address is what the SQL function knows
};

/// BM25's inverse document frequency as FTS5 defines it (never under 1e-6).
double inverse_document_frequency(double rows, double rows_with_term);

}  // namespace reef::document
