#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/io/sqlite.h"

namespace reef::text {

/// The words of a question that BM25 looks for: parted and folded (lower case, no accents) as FTS5
/// does it with texts, each once, without stop words (all of them when nothing else is left). FTS5
/// stems them itself.
std::vector<std::string> query_terms(std::string_view text);

/// English function words, folded: in a question they match nearly every row and mean nothing.
bool is_stop_word(std::string_view word);

/// Where one term occurs: row ids ascending, and how often in each.
struct Postings {
  std::vector<std::int64_t> rows;
  std::vector<std::uint32_t> counts;
};

/// Postings of all terms in one pass through FTS5's own cursors, df and tf together: its bm25()
/// walks them twice, row by row through the OR of all terms. One object for each connection.
class PostingsFinder {
 public:
  /// `table`: of FTS5.
  PostingsFinder(io::Database& database, const std::string& table);
  std::vector<Postings> find(std::span<const std::string> terms);
  /// Of rows from `first` to `last` alone; what others hold costs nothing.
  std::vector<Postings> find(std::span<const std::string> terms, std::int64_t first, std::int64_t last);

 private:
  io::Database* database_;
  std::string table_;
  io::Statement whole_, range_;                   ///< the second one is prepared at need
  std::unique_ptr<std::vector<Postings>> found_;  ///< its address is what the SQL functions know
};

/// Words of a row, as FTS5's table %_docsize has them: one SQLite varint for each column.
std::uint32_t words_in_row(std::span<const std::uint8_t> docsize);

/// BM25's inverse document frequency as FTS5 defines it (never under 1e-6).
double inverse_document_frequency(double rows, double rows_with_term);

}  // namespace reef::text
