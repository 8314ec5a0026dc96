#include "reef/document/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/document/store.h"
#include "reef/tree/shards.h"

namespace reef::document {
namespace {

constexpr std::size_t kNearest = 10;
using Clock = std::chrono::steady_clock;

/// The rows found but for the question's own, at most kNearest of them.
std::vector<std::uint64_t> others(const std::vector<vector::Hit>& hits, std::uint64_t own) {
  std::vector<std::uint64_t> rows;
  for (const vector::Hit& hit : hits)
    if (hit.row != own && rows.size() < kNearest) rows.push_back(hit.row);
  return rows;
}

/// Rows that are alive, evenly over the store.
std::vector<std::uint64_t> sample_rows(const vector::StoreReader& vectors, std::size_t count) {
  const std::uint64_t total = vectors.state().rows_total;
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
  const auto folder = tree.vectors(options.scope);
  tree::require_in_reach(tree, options.scope);
  BenchReport report;
  report.scope = options.scope.name();
  report.recall = options.recall;
  const auto nothing = [&] {
    return Error(Errc::not_found, fmt::format("{} holds no vectors to search", report.scope), "see 'reef-index stat'");
  };
  if (!Snapshot::exists(folder)) throw nothing();
  const auto opened = tree::opened_in_place(folder, [&] { return std::make_unique<Snapshot>(folder, options.scope); });
  Snapshot& snapshot = *opened;
  vector::StoreReader& vectors = snapshot.vectors();
  const auto questions = vectors.empty() ? std::vector<std::uint64_t>() : sample_rows(vectors, options.questions);
  if (questions.empty()) throw nothing();
  report.rows = vectors.state().rows_total - vectors.dead().size();
  report.dim = vectors.state().dim;
  report.questions = questions.size();

  progress.begin("exact search", questions.size(), ProgressUnit::items);
  std::vector<std::vector<std::uint64_t>> truth;
  for (const std::uint64_t row : questions) {
    truth.push_back(others(vectors.search_exactly(vectors.row(row), kNearest + 1), row));
    progress.advance(1);
  }
  progress.end();
  report.widths.push_back(measure(questions, truth, [&](std::uint64_t row) {
    return vectors.search(vectors.row(row), kNearest + 1, {.without_graph = true});
  }));
  if (vectors.state().rows_indexed == 0) return report;
  if (vector::index_kind(vectors.state()) == vector::IndexKind::factory) {
    BenchRow row =
        measure(questions, truth, [&](std::uint64_t own) { return vectors.search(vectors.row(own), kNearest + 1); });
    row.search = "factory";
    report.widths.push_back(row);
    return report;
  }
  for (const std::size_t ef : {48, 64, 96, 128, 192, 256, 384, 512}) {
    BenchRow row = measure(questions, truth, [&](std::uint64_t own) {
      return vectors.search(vectors.row(own), kNearest + 1, {.ef = ef, .always_index = true});
    });
    row.search = "graph";
    row.ef = ef;
    if (!report.ef && row.recall >= options.recall) report.ef = ef;
    report.widths.push_back(row);
  }
  return report;
}

}  // namespace reef::document
