#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "reef/core/error.h"
#include "reef/core/log.h"
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
    auto index = std::make_unique<HnswFile>(std::move(index_map_));
    if (index->rows() != state_.rows_indexed || index->dim() != state_.dim)
      throw Error(
          Errc::corrupt,
          fmt::format("{}: holds {} rows of {}, the store counts {} of {}", io::shown(folder_ / state_.index_file),
                      index->rows(), index->dim(), state_.rows_indexed, state_.dim),
          "run 'reef-index build'");
    walk_ = std::make_unique<HnswSearch>(*index);
    index_ = std::move(index);
  }
  return *index_;
}

/// What FAISS finds; nullopt where a scan of what the filter leaves costs less.
std::optional<std::vector<Hit>> StoreReader::ask_faiss(std::span<const float> query, std::size_t k,
                                                       std::uint64_t findable, bool filtered) {
  const std::size_t wanted = internal::faiss_candidates(k);
  if (findable <= wanted || (filtered && findable * 10 <= state_.rows_indexed)) return std::nullopt;
  if (!faiss_) {
    faiss_ = std::make_unique<FaissSearch>(folder_ / state_.index_file, state_.dim);
    if (faiss_->rows() != state_.rows_indexed)
      throw Error(Errc::corrupt,
                  fmt::format("{}: holds {} rows, the store counts {}", io::shown(folder_ / state_.index_file),
                              faiss_->rows(), state_.rows_indexed),
                  "run 'reef-index build'");
  }
  // Rows that may not be found take places in the answer all the same.
  const double width = static_cast<double>(wanted) * static_cast<double>(state_.rows_indexed);
  return faiss_->search(query, static_cast<std::size_t>(width / static_cast<double>(findable)));
}

/// What the graph finds; nullopt where a scan costs less.
std::optional<std::vector<Hit>> StoreReader::walk_graph(std::span<const float> query, std::size_t k,
                                                        std::uint64_t findable, const SearchOptions& options) {
  const std::size_t wanted = internal::graph_candidates(k);
  const double ef = static_cast<double>(std::max(options.ef > 0 ? options.ef : graph().ef_search(), wanted));
  const double width = ef * static_cast<double>(state_.rows_indexed) /
                       static_cast<double>(std::max<std::uint64_t>(findable, 1));  // as in ask_faiss()
  const bool scan_is_cheaper = findable <= wanted || rows_worth(width) >= static_cast<double>(findable);
  if (scan_is_cheaper && !options.always_index) return std::nullopt;
  graph();
  return walk_->search(query, static_cast<std::size_t>(width));
}

/// The candidates of the rows that the index knows; nullopt where only a scan finds them, or finds them sooner.
std::optional<std::vector<Hit>> StoreReader::candidates(std::span<const float> query, std::size_t k,
                                                        const SearchOptions& options) {
  const std::uint64_t indexed = state_.rows_indexed;
  const auto dead = below(dead_, indexed);
  const auto only = options.only ? below(*options.only, indexed) : std::span<const std::uint64_t>();
  const std::uint64_t findable = options.only ? only.size() : indexed - dead.size();
  const bool by_faiss = index_kind(state_) == IndexKind::factory;
  auto hits =
      by_faiss ? ask_faiss(query, k, findable, options.only != nullptr) : walk_graph(query, k, findable, options);
  if (!hits) return std::nullopt;
  const std::size_t wanted = by_faiss ? internal::faiss_candidates(k) : internal::graph_candidates(k);
  if (findable < indexed) {
    const RowSet gone(dead, indexed);
    const RowSet allowed(only, indexed);
    std::erase_if(
        *hits, [&](const Hit& hit) { return gone.contains(hit.row) || (options.only && !allowed.contains(hit.row)); });
    // Rows that may be found can lie apart from all that are near: then only a scan finds them.
    if (hits->size() < wanted) return std::nullopt;
  }
  // An index of lists may have read too few of them.
  if (hits->size() < std::min<std::uint64_t>(k, findable)) return std::nullopt;
  hits->resize(std::min(hits->size(), wanted));
  return hits;
}

/// An index only speeds searches up: they go on without one that is damaged, or that reef-faiss is missing for.
void StoreReader::give_index_up(const Error& error) {
  index_gone_ = true;
  missing_.push_back(fmt::format("{}; scanning all vectors, which takes longer ({})", error.what(),
                                 error.hint().empty() ? "run 'reef-index build'" : error.hint()));
  log_warn("{}", missing_.back());
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
  std::optional<std::vector<Hit>> hits;
  const bool has_index = state_.rows_indexed > 0 && !index_gone_ && (index_ || index_map_.size() > 0);
  if (has_index && !options.without_graph) {
    try {
      hits = candidates(query, k, options);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      give_index_up(error);
    }
  }
  if (!hits) return scan(vectors_, codes_, query, k, 0, state_.rows_total, filter);
  if (walk_)
    score_exactly(vectors_, query, *hits, k, walk_->doubt(), !walk_->maps_codes());
  else
    score_exactly(vectors_, query, *hits, k, std::numeric_limits<float>::infinity(), false);
  if (state_.rows_indexed < state_.rows_total) {
    const auto tail = scan(vectors_, codes_, query, k, state_.rows_indexed, state_.rows_total, filter);
    hits->insert(hits->end(), tail.begin(), tail.end());
    std::sort(hits->begin(), hits->end(), internal::better);
  }
  if (hits->size() > k) hits->resize(k);
  return *std::move(hits);
}

}  // namespace reef::vector
