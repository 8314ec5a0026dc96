#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/vector/internal/candidates.h"
#include "reef/vector/internal/top_k.h"
#include "reef/vector/store.h"

namespace reef::vector {
namespace {

/// What a search of width `ef` looks at, in rows of a scan: an expansion meets about 22 new rows, and a row at a random
/// place takes three times as long as the next one.
double rows_worth(double ef) { return ef * 22 * 3; }

std::span<const std::uint64_t> below(std::span<const std::uint64_t> rows, std::uint64_t end) {
  return rows.first(static_cast<std::size_t>(std::lower_bound(rows.begin(), rows.end(), end) - rows.begin()));
}

/// Whether rows of a sorted list are in it, asked thousands of times in no order.
class RowSet {
 public:
  RowSet(std::span<const std::uint64_t> rows, std::uint64_t count) : bits_((count + 63) / 64) {
    for (const std::uint64_t row : rows) bits_[row >> 6] |= std::uint64_t{1} << (row & 63);
  }
  bool contains(std::uint64_t row) const { return (bits_[row >> 6] >> (row & 63) & 1) != 0; }

 private:
  std::vector<std::uint64_t> bits_;
};

}  // namespace

const HnswFile& StoreReader::graph() {
  if (!index_) {
    index_ = std::make_unique<HnswFile>(std::move(index_map_));
    if (index_->rows() != state_.rows_indexed || index_->dim() != state_.dim)
      throw Error(
          Errc::corrupt,
          fmt::format("{}: holds {} rows of {}, the store counts {} of {}", io::shown(folder_ / state_.index_file),
                      index_->rows(), index_->dim(), state_.rows_indexed, state_.dim),
          "run 'reef-index build'");
    walk_ = std::make_unique<HnswSearch>(*index_);
  }
  return *index_;
}

std::vector<Hit> StoreReader::search_exactly(std::span<const float> query, std::size_t k) const {
  return scan_exact(vectors_, query, k, 0, state_.rows_total, RowFilter{nullptr, dead_});
}

std::vector<Hit> StoreReader::search(std::span<const float> query, std::size_t k, const SearchOptions& options) {
  if (empty() || k == 0) return {};
  if (query.size() != state_.dim) {
    throw Error(Errc::usage,
                fmt::format("a question of {} values, but {} holds vectors of {} (model {})", query.size(),
                            io::shown(folder_ / state_.vectors_file), state_.dim, state_.model),
                fmt::format("embed the question with {}", state_.model));
  }
  const RowFilter filter{options.only, dead_};
  const bool has_graph = state_.rows_indexed > 0 && (index_ || index_map_.size() > 0);
  if (!has_graph || options.without_graph) return scan(vectors_, codes_, query, k, 0, state_.rows_total, filter);
  const std::uint64_t indexed = state_.rows_indexed;
  const auto dead = below(dead_, indexed);
  std::uint64_t findable = indexed - dead.size();
  if (options.only) {
    const auto allowed = below(*options.only, indexed);
    findable = allowed.size();
  }
  const std::size_t wanted = internal::graph_candidates(k);
  const double ef = static_cast<double>(std::max({options.ef > 0 ? options.ef : graph().ef_search(), wanted}));
  // Rows that may not be found take places in the search all the same.
  const double width = ef * static_cast<double>(indexed) / static_cast<double>(std::max<std::uint64_t>(findable, 1));
  if (findable <= wanted || rows_worth(width) >= static_cast<double>(findable))
    return scan(vectors_, codes_, query, k, 0, state_.rows_total, filter);
  graph();
  std::vector<Hit> hits = walk_->search(query, static_cast<std::size_t>(width));
  if (findable < indexed) {
    const RowSet gone(dead, indexed);
    const RowSet allowed(options.only ? below(*options.only, indexed) : std::span<const std::uint64_t>(), indexed);
    std::erase_if(
        hits, [&](const Hit& hit) { return gone.contains(hit.row) || (options.only && !allowed.contains(hit.row)); });
    // Rows that may be found can lie apart from all that are near: then only a scan finds them.
    if (hits.size() < wanted) return scan(vectors_, codes_, query, k, 0, state_.rows_total, filter);
  }
  if (hits.size() > wanted) hits.resize(wanted);
  score_exactly(vectors_, query, hits, !walk_->maps_codes());
  if (indexed < state_.rows_total) {
    const auto tail = scan(vectors_, codes_, query, k, indexed, state_.rows_total, filter);
    hits.insert(hits.end(), tail.begin(), tail.end());
    std::sort(hits.begin(), hits.end(), internal::better);
  }
  if (hits.size() > k) hits.resize(k);
  return hits;
}

}  // namespace reef::vector
