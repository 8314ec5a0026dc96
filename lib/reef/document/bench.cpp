#include "reef/document/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/document/stores.h"
#include "reef/tree/parts.h"
#include "reef/tree/shards.h"

namespace reef::document {
namespace {

constexpr std::size_t kNearest = 10;

/// The parts of a scope as one store: rows of each follow those of the one before.
class Vectors {
 public:
  Vectors(const tree::Tree& tree, const tree::Scope& scope) {
    for (const tree::Part& part : tree::parts_of(tree, scope)) {
      parts_.push_back(std::make_unique<Snapshot>(part.folder, scope));
      const vector::StoreReader& vectors = parts_.back()->vectors();
      for (const std::uint64_t row : vectors.dead()) dead_.push_back(rows_ + row);
      first_.push_back(rows_);
      rows_ += vectors.state().rows_total;
    }
  }

  std::uint64_t rows() const { return rows_; }
  const std::vector<std::uint64_t>& dead() const { return dead_; }
  /// Of a part that has an index, else one that has vectors.
  const vector::StoreState& state() const {
    const vector::StoreState* best = nullptr;
    for (const auto& part : parts_) {
      const auto& state = part->vectors().state();
      if (!best || (best->rows_total == 0 && state.rows_total > 0) || best->rows_indexed < state.rows_indexed)
        best = &state;
    }
    return *best;
  }
  std::span<const float> row(std::uint64_t row) const {
    const auto part =
        static_cast<std::size_t>(std::upper_bound(first_.begin(), first_.end(), row) - first_.begin()) - 1;
    return parts_[part]->vectors().row(row - first_[part]);
  }
  std::vector<vector::Hit> search(std::uint64_t own, const vector::SearchOptions& options = {}) {
    return merged([&](vector::StoreReader& part) { return part.search(row(own), kNearest + 1, options); });
  }
  std::vector<vector::Hit> search_exactly(std::uint64_t own) {
    return merged([&](vector::StoreReader& part) { return part.search_exactly(row(own), kNearest + 1); });
  }

 private:
  template <typename Search>
  std::vector<vector::Hit> merged(const Search& search) {
    std::vector<vector::Hit> hits;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (parts_[i]->vectors().empty()) continue;
      for (vector::Hit hit : search(parts_[i]->vectors())) {
        hit.row += first_[i];
        hits.push_back(hit);
      }
    }
    if (parts_.size() == 1) return hits;
    std::stable_sort(hits.begin(), hits.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    if (hits.size() > kNearest + 1) hits.resize(kNearest + 1);
    return hits;
  }

  std::vector<std::unique_ptr<Snapshot>> parts_;
  std::vector<std::uint64_t> first_;  ///< row of each part
  std::vector<std::uint64_t> dead_;
  std::uint64_t rows_ = 0;
};

using Clock = std::chrono::steady_clock;

/// The rows found but for the question's own, at most kNearest of them.
std::vector<std::uint64_t> others(const std::vector<vector::Hit>& hits, std::uint64_t own) {
  std::vector<std::uint64_t> rows;
  for (const vector::Hit& hit : hits)
    if (hit.row != own && rows.size() < kNearest) rows.push_back(hit.row);
  return rows;
}

/// Rows that are alive, evenly over the store.
std::vector<std::uint64_t> sample_rows(const Vectors& vectors, std::size_t count) {
  const std::uint64_t total = vectors.rows();
  const std::uint64_t stride = std::max<std::uint64_t>(1, total / count);
  std::vector<std::uint64_t> rows;
  for (std::uint64_t row = stride / 2; row < total && rows.size() < count; row += stride)
    if (!std::binary_search(vectors.dead().begin(), vectors.dead().end(), row)) rows.push_back(row);
  return rows;
}

/// Asks every question through `search` and compares with `truth`.
template <typename Search>
BenchRow measure(const std::vector<std::uint64_t>& questions, const std::vector<std::vector<std::uint64_t>>& truth,
                 const Search& search) {
  BenchRow row;
  std::vector<double> times;
  std::size_t common = 0, all = 0;
  double seconds = 0;
  for (std::size_t q = 0; q < questions.size(); ++q) {
    check_interrupt();
    const auto begin = Clock::now();
    const std::vector<vector::Hit> hits = search(questions[q]);
    const double taken = std::chrono::duration<double>(Clock::now() - begin).count();
    seconds += taken;
    times.push_back(1e3 * taken);
    const auto found = others(hits, questions[q]);
    all += truth[q].size();
    for (const std::uint64_t wanted : truth[q])
      common += static_cast<std::size_t>(std::count(found.begin(), found.end(), wanted));
  }
  std::sort(times.begin(), times.end());
  row.recall = all > 0 ? static_cast<double>(common) / static_cast<double>(all) : 1;
  row.p50_ms = times[times.size() / 2];
  row.p99_ms = times[times.size() * 99 / 100];
  row.questions_per_second = static_cast<double>(times.size()) / seconds;
  return row;
}

}  // namespace

BenchReport bench(const tree::Tree& tree, const BenchOptions& options, Progress& progress) {
  tree::require_in_reach(tree, options.scope);
  BenchReport report;
  report.scope = options.scope.name();
  report.recall = options.recall;
  const auto nothing = [&] {
    return Error(Errc::not_found, fmt::format("{} holds no vectors to search", report.scope), "see 'reef-index stat'");
  };
  if (!holds_store(tree, options.scope)) throw nothing();
  const auto opened = tree::opened_in_place(tree.vectors(options.scope),
                                            [&] { return std::make_unique<Vectors>(tree, options.scope); });
  Vectors& vectors = *opened;
  const auto questions = vectors.rows() == 0 ? std::vector<std::uint64_t>() : sample_rows(vectors, options.questions);
  if (questions.empty()) throw nothing();
  report.rows = vectors.rows() - vectors.dead().size();
  report.dim = vectors.state().dim;
  report.questions = questions.size();

  progress.begin("exact search", questions.size(), ProgressUnit::items);
  std::vector<std::vector<std::uint64_t>> truth;
  for (const std::uint64_t row : questions) {
    truth.push_back(others(vectors.search_exactly(row), row));
    progress.advance(1);
  }
  progress.end();
  report.widths.push_back(
      measure(questions, truth, [&](std::uint64_t row) { return vectors.search(row, {.without_graph = true}); }));
  if (vectors.state().rows_indexed == 0) return report;
  if (vector::index_kind(vectors.state()) == vector::IndexKind::factory) {
    BenchRow row = measure(questions, truth, [&](std::uint64_t own) { return vectors.search(own); });
    row.search = "factory";
    report.widths.push_back(row);
    return report;
  }
  for (const std::size_t ef : {48, 64, 96, 128, 192, 256, 384, 512}) {
    BenchRow row = measure(questions, truth,
                           [&](std::uint64_t own) { return vectors.search(own, {.ef = ef, .always_index = true}); });
    row.search = "graph";
    row.ef = ef;
    if (!report.ef && row.recall >= options.recall) report.ef = ef;
    report.widths.push_back(row);
  }
  return report;
}

}  // namespace reef::document
