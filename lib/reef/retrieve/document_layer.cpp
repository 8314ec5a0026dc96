#include <algorithm>

#include "reef/retrieve/internal/split_layer.h"
#include "reef/retrieve/layer.h"
#include "reef/vector/kernels.h"

namespace reef::retrieve {
namespace {

// BM25's usual constants, the ones of FTS5's bm25().
constexpr double kSaturation = 1.2;
constexpr double kLengthShare = .75;

class DocumentLayer : public Layer {
 public:
  DocumentLayer(std::shared_ptr<ScopeSearch> scope, PartSearch& part, std::string name, bool text_only)
      : scope_(std::move(scope)),
        part_(part),
        name_(std::move(name)),
        text_only_(text_only),
        mean_words_(scope_->mean_words(text_only)) {}

  const std::string& name() const override { return name_; }

  std::string vector_space() const override {
    const auto& state = part_.snapshot().vectors().state();
    return text_only_ ? "" : state.model_digest.empty() ? state.model : state.model_digest;
  }

  void ask(const Question& question) override {
    left_out_.clear();
    scope_->ask(question);
  }

  TermCounts term_counts() const override {
    TermCounts counts;
    counts.rows = static_cast<double>(map().rows(text_only_));
    for (const text::Postings& term : part_.postings()) {
      double rows = static_cast<double>(term.rows.size());
      if (map().rows(!text_only_) > 0)
        rows = static_cast<double>(
            std::count_if(term.rows.begin(), term.rows.end(), [&](auto chunk) { return is_mine(chunk); }));
      counts.rows_with_term.push_back(rows);
    }
    return counts;
  }

  std::vector<Candidate> best_by_words(std::span<const double> idf, std::size_t count) override {
    // One slot for each chunk id that any term occurs in; ids of a scope lie close together.
    std::int64_t low = INT64_MAX, high = -1;
    for (const text::Postings& term : part_.postings()) {
      if (term.rows.empty()) continue;
      low = std::min(low, term.rows.front());
      high = std::max(high, term.rows.back());
    }
    if (high < low) return {};
    std::vector<float> scores(static_cast<std::size_t>(high - low + 1));
    for (std::size_t t = 0; t < idf.size(); ++t) {
      const text::Postings& term = part_.postings()[t];
      for (std::size_t i = 0; i < term.rows.size(); ++i)
        scores[static_cast<std::size_t>(term.rows[i] - low)] +=
            static_cast<float>(weight(term.rows[i], term.counts[i], idf[t]));
    }
    return best_of(scores, low, count);
  }

  std::vector<Candidate> best_by_vector(std::size_t count) override {
    if (text_only_ || scope_->vector().empty() || part_.snapshot().vectors().empty()) return {};
    const auto* only = part_.allowed() ? &part_.allowed()->vector_rows : nullptr;
    std::vector<std::uint64_t> others;
    if (!left_out_.empty()) {
      others = rows_not_left_out(only);
      only = &others;
    }
    std::vector<Candidate> best;
    for (const vector::Hit& hit :
         part_.snapshot().vectors().search(scope_->vector(), count, {.only = only, .ef = scope_->ef()}))
      if (const auto chunk = map().chunk_of_row(hit.row)) best.push_back({*chunk, 0, hit.score});
    return best;
  }

  void complete(std::span<Candidate> candidates, std::span<const double> idf) override {
    for (Candidate& candidate : candidates) {
      candidate.bm25 = 0;
      for (std::size_t t = 0; t < idf.size(); ++t) {
        const text::Postings& term = part_.postings()[t];
        const auto found = std::lower_bound(term.rows.begin(), term.rows.end(), candidate.id);
        if (found == term.rows.end() || *found != candidate.id) continue;
        candidate.bm25 +=
            weight(candidate.id, term.counts[static_cast<std::size_t>(found - term.rows.begin())], idf[t]);
      }
      if (text_only_ || scope_->vector().empty() || candidate.cosine) continue;
      const auto row = map().row(candidate.id);
      if (row && *row < part_.snapshot().vectors().state().rows_total) {
        const auto values = part_.snapshot().vectors().row(*row);
        candidate.cosine = vector::kernels().inner_product(scope_->vector().data(), values.data(), values.size());
      }
    }
  }

  void leave_out(std::span<const std::int64_t> ids, bool whole_documents) override {
    auto siblings = part_.snapshot().database().prepare(
        "SELECT id FROM chunks WHERE document = (SELECT document FROM chunks WHERE id = ?)");
    for (const std::int64_t id : ids) {
      if (is_left_out(id)) continue;
      mark_left_out(id);
      if (!whole_documents) continue;
      siblings.bind(1, id);
      while (siblings.step()) mark_left_out(siblings.integer(0));
      siblings.reset();
    }
  }

  std::optional<Passage> fetch(std::int64_t id) override {
    const auto row = part_.snapshot().chunk(id);
    if (!row) return std::nullopt;
    const tree::Scope& scope = part_.snapshot().scope();
    return Passage{document::chunk_id(scope, id),
                   row->title,
                   row->heading_path,
                   row->text,
                   row->name,
                   row->source,
                   scope.name(),
                   row->page,
                   row->start,
                   row->end,
                   row->created,
                   std::nullopt};
  }

 private:
  const document::ChunkMap& map() const { return part_.snapshot().map(); }
  bool is_mine(std::int64_t chunk) const { return map().words(chunk) > 0 && map().text_only(chunk) == text_only_; }
  bool is_allowed(std::int64_t chunk) const {
    const auto& allowed = part_.allowed();
    return !allowed || std::binary_search(allowed->chunks.begin(), allowed->chunks.end(), chunk);
  }
  bool is_left_out(std::int64_t chunk) const {
    return static_cast<std::size_t>(chunk) < left_out_.size() && left_out_[static_cast<std::size_t>(chunk)];
  }
  void mark_left_out(std::int64_t chunk) {
    const auto index = static_cast<std::size_t>(chunk);
    if (index >= left_out_.size()) left_out_.resize(index + index / 2 + 1);
    left_out_[index] = true;
  }
  /// Of the rows in `only` (null: of all), those of chunks that are not left out; ascending.
  std::vector<std::uint64_t> rows_not_left_out(const std::vector<std::uint64_t>* only) const {
    const std::uint64_t total = part_.snapshot().vectors().state().rows_total;
    std::vector<bool> gone(total);
    for (std::size_t chunk = 0; chunk < left_out_.size(); ++chunk) {
      if (!left_out_[chunk]) continue;
      if (const auto row = map().row(static_cast<std::int64_t>(chunk)); row && *row < total) gone[*row] = true;
    }
    std::vector<std::uint64_t> rows;
    if (only) {
      std::copy_if(only->begin(), only->end(), std::back_inserter(rows), [&](auto row) { return !gone[row]; });
    } else {
      for (std::uint64_t row = 0; row < total; ++row)
        if (!gone[row]) rows.push_back(row);
    }
    return rows;
  }
  /// The best of scores[i], which belong to chunk low + i; ties go to the lower id.
  std::vector<Candidate> best_of(const std::vector<float>& scores, std::int64_t low, std::size_t count) const {
    const auto better = [](const Candidate& a, const Candidate& b) {
      return a.bm25 > b.bm25 || (a.bm25 == b.bm25 && a.id < b.id);
    };
    std::vector<Candidate> heap;  // the worst of the best so far on top
    heap.reserve(std::min(count, scores.size()) + 1);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (scores[i] <= 0 || (heap.size() == count && scores[i] <= heap.front().bm25)) continue;
      const std::int64_t chunk = low + static_cast<std::int64_t>(i);
      if (!is_mine(chunk) || !is_allowed(chunk) || is_left_out(chunk)) continue;
      heap.push_back({chunk, scores[i], std::nullopt});
      std::push_heap(heap.begin(), heap.end(), better);
      if (heap.size() <= count) continue;
      std::pop_heap(heap.begin(), heap.end(), better);
      heap.pop_back();
    }
    std::sort_heap(heap.begin(), heap.end(), better);
    return heap;
  }
  /// Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), with FTS5's constants.
  double weight(std::int64_t chunk, std::uint32_t count, double idf) const {
    const double length = map().words(chunk) / mean_words_;
    return idf * count * (kSaturation + 1) / (count + kSaturation * (1 - kLengthShare + kLengthShare * length));
  }

  std::shared_ptr<ScopeSearch> scope_;
  PartSearch& part_;
  std::string name_;
  bool text_only_;
  double mean_words_;           ///< of the whole scope
  std::vector<bool> left_out_;  ///< by chunk id; those behind its end are not
};

}  // namespace

std::unique_ptr<Layer> make_document_layer(std::shared_ptr<ScopeSearch> scope, const std::string& name,
                                           bool text_only) {
  std::vector<std::unique_ptr<Layer>> layers;
  for (const auto& part : scope->parts())
    layers.push_back(std::make_unique<DocumentLayer>(scope, *part, name, text_only));
  if (layers.size() == 1) return std::move(layers.front());
  return internal::make_split_layer(std::move(scope), std::move(layers));
}

}  // namespace reef::retrieve
