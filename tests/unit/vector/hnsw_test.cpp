#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include "hnsw_sample.h"
#include "reef/core/error.h"
#include "reef/vector/hnsw_file.h"
#include "reef/vector/hnsw_graph.h"
#include "reef/vector/hnsw_search.h"
#include "reef/vector/kernels.h"
#include "reef/vector/scan.h"

using namespace reef;
using namespace reef::vector;
using namespace reef::test;

namespace {

constexpr std::size_t kDim = 32;

bool same_links(const HnswGraph& a, const HnswGraph& b) {
  if (a.rows() != b.rows() || a.entry() != b.entry()) return false;
  for (std::size_t row = 0; row < a.rows(); ++row) {
    if (a.top_level(row) != b.top_level(row)) return false;
    for (int level = 0; level <= a.top_level(row); ++level)
      if (!std::ranges::equal(a.links(row, level), b.links(row, level))) return false;
  }
  return true;
}

/// What every graph holds to, whatever its rows.
void check_links(const HnswGraph& graph) {
  for (std::size_t row = 0; row < graph.rows(); ++row) {
    REQUIRE(graph.top_level(row) <= graph.top_level(graph.entry()));
    REQUIRE(graph.top_level(row) < HnswGraph::kLevels);
    for (int level = 0; level <= graph.top_level(row); ++level) {
      const auto links = graph.links(row, level);
      REQUIRE(links.size() <= (level == 0 ? 64U : 32U));
      std::vector<std::uint32_t> sorted(links.begin(), links.end());
      std::ranges::sort(sorted);
      REQUIRE(std::ranges::adjacent_find(sorted) == sorted.end());
      for (const std::uint32_t id : sorted) {
        REQUIRE(id < graph.rows());
        REQUIRE(id != row);
        REQUIRE(graph.top_level(id) >= level);
      }
    }
  }
}

/// Rows that links of level 0 lead to from the entry point, itself among them.
std::size_t reachable(const HnswGraph& graph) {
  std::vector<bool> seen(graph.rows());
  std::deque<std::uint32_t> open = {graph.entry()};
  seen[graph.entry()] = true;
  std::size_t count = 0;
  for (; !open.empty(); open.pop_front(), ++count) {
    for (const std::uint32_t id : graph.links(open.front(), 0)) {
      if (seen[id]) continue;
      seen[id] = true;
      open.push_back(id);
    }
  }
  return count;
}

/// Share of the exact top 10 among the 10 best of what a walk of width 128 found, ranked anew by the floats.
double recall_at_10(const GraphSample& sample, const std::vector<float>& queries) {
  const auto path = sample.dir / "index.bin";
  write_hnsw_file(path, sample.codes, sample.graph);
  const HnswFile file(path);
  HnswSearch search(file);
  const std::size_t dim = sample.vectors.dim(), count = queries.size() / dim;
  std::size_t found = 0;
  for (std::size_t q = 0; q < count; ++q) {
    const auto query = row_of(queries, dim, q);
    const auto truth = scan_exact(sample.vectors, query, 10, 0, sample.vectors.rows(), {});
    std::vector<Hit> hits = search.search(query, 128);
    REQUIRE(hits.size() == 128);
    REQUIRE(std::ranges::is_sorted(hits, std::greater(), &Hit::score));
    for (Hit& hit : hits) hit.score = kernels().inner_product(query.data(), sample.vectors.row(hit.row).data(), dim);
    std::ranges::sort(hits, std::greater(), &Hit::score);
    // By score, not by row: of equal rows any will do.
    for (std::size_t i = 0; i < 10; ++i) found += hits[i].score >= truth.back().score ? 1 : 0;
  }
  return static_cast<double>(found) / static_cast<double>(10 * count);
}

}  // namespace

TEST_CASE("the graph of clustered rows finds what exact search finds") {
  const GraphSample sample(unit_rows(2000, kDim, 31), kDim, {.ef_construction = 100, .threads = 2});
  check_links(sample.graph);
  CHECK(reachable(sample.graph) == 2000);
  CHECK(recall_at_10(sample, unit_rows(50, kDim, 32)) >= .99);
}

TEST_CASE("the graph of random rows finds what exact search finds") {
  const GraphSample sample(random_rows(2000, kDim, 33), kDim, {.ef_construction = 100, .threads = 2});
  check_links(sample.graph);
  CHECK(reachable(sample.graph) == 2000);
  CHECK(recall_at_10(sample, random_rows(50, kDim, 34)) >= .99);
}

TEST_CASE("any number of threads gives the same graph") {
  // Instruction sets are compared by peers_index_sets: a process chooses its own but once.
  const auto values = unit_rows(1200, kDim, 35);
  const GraphSample one(values, kDim, {.ef_construction = 40, .threads = 1});
  for (const unsigned threads : {2U, 5U}) {
    CAPTURE(threads);
    const GraphSample other(values, kDim, {.ef_construction = 40, .threads = threads});
    CHECK(same_links(one.graph, other.graph));
  }
}

TEST_CASE("graphs of few rows link all of them") {
  for (const std::size_t rows : {1U, 2U, 3U, 65U}) {
    CAPTURE(rows);
    const GraphSample sample(random_rows(rows, 5, 36), 5, {.ef_construction = 200, .threads = 2});
    REQUIRE(sample.graph.rows() == rows);
    check_links(sample.graph);
    CHECK(reachable(sample.graph) == rows);
    write_hnsw_file(sample.dir / "index.bin", sample.codes, sample.graph);
    const HnswFile file(sample.dir / "index.bin");
    HnswSearch search(file);
    for (const std::size_t ef : {1U, 2U, 64U, 100U}) {
      const auto hits = search.search(sample.vectors.row(rows - 1), ef);
      REQUIRE(hits.size() == std::min(rows, ef));
      CHECK(hits.front().row == rows - 1);
      if (rows == 65)
        CHECK(hits.front().score == doctest::Approx(1).epsilon(.02));  // of few values the largest are cut
    }
  }
}

TEST_CASE("progress counts every row once") {
  const GraphSample sample(random_rows(300, 4, 37), 4, {.ef_construction = 10, .threads = 1});
  std::uint64_t rows = 0;
  build_hnsw(sample.codes, {.ef_construction = 10, .threads = 2}, [&](std::uint64_t count) { rows += count; });
  CHECK(rows == 300);
}

TEST_CASE("equal rows are linked and found") {
  std::vector<float> values;
  const auto one = random_rows(1, 8, 38);
  for (int i = 0; i < 300; ++i) values.insert(values.end(), one.begin(), one.end());
  const GraphSample sample(values, 8, {.ef_construction = 100, .threads = 2});
  check_links(sample.graph);
  CHECK(reachable(sample.graph) == 300);
  CHECK(same_links(sample.graph, GraphSample(values, 8, {.ef_construction = 100, .threads = 5}).graph));
  write_hnsw_file(sample.dir / "index.bin", sample.codes, sample.graph);
  const HnswFile file(sample.dir / "index.bin");
  HnswSearch search(file);
  for (const std::size_t ef : {1U, 10U, 300U, 1000U}) {
    const auto hits = search.search(one, ef);
    REQUIRE(hits.size() == std::min<std::size_t>(ef, 300));
    CHECK(hits.back().score == hits.front().score);
  }
}

TEST_CASE("many equal rows do not hide the others") {
  // A footer or a disclaimer that chunks repeat: each copy linked to 64 others, no link led out of them.
  for (const std::size_t every : {2U, 10U}) {
    CAPTURE(every);
    std::vector<float> values = unit_rows(1500, kDim, 39);
    for (std::size_t i = 0; i < 1500; i += every)
      std::copy_n(values.begin(), kDim, values.begin() + static_cast<std::ptrdiff_t>(i * kDim));
    const GraphSample sample(values, kDim, {.ef_construction = 100, .threads = 2});
    check_links(sample.graph);
    CHECK(reachable(sample.graph) == 1500);
    CHECK(recall_at_10(sample, unit_rows(50, kDim, 40)) >= .99);
  }
}

TEST_CASE("near-copies are reached, and do not hide the others") {
  // Rows that differ in a few steps of their codes, as versions of one text do.
  std::vector<float> values = unit_rows(1500, kDim, 41);
  const std::vector<float> noise = random_rows(750, kDim, 42);
  for (std::size_t i = 0; i < 750; ++i)
    for (std::size_t j = 0; j < kDim; ++j) values[2 * i * kDim + j] = values[j] + .003F * noise[i * kDim + j];
  const GraphSample sample(values, kDim, {.ef_construction = 200, .threads = 2});
  check_links(sample.graph);
  CHECK(reachable(sample.graph) == 1500);
  CHECK(same_links(sample.graph, GraphSample(values, kDim, {.ef_construction = 200, .threads = 5}).graph));
  CHECK(recall_at_10(sample, unit_rows(50, kDim, 43)) >= .99);
}

TEST_CASE("a question of another dimension is refused, and a width of nothing finds the nearest row") {
  const GraphSample sample(random_rows(20, 8, 44), 8, {.ef_construction = 10, .threads = 1});
  write_hnsw_file(sample.dir / "index.bin", sample.codes, sample.graph);
  const HnswFile file(sample.dir / "index.bin");
  HnswSearch search(file);
  CHECK_THROWS_AS(search.search(random_rows(1, 9, 45), 10), Error);
  CHECK(search.search(random_rows(1, 8, 46), 0).size() == 1);
}

TEST_CASE("a first question, which reads its rows, finds what later ones find in the mapping") {
  const GraphSample sample(random_rows(2000, kDim, 47), kDim, {.ef_construction = 60, .threads = 2});
  write_hnsw_file(sample.dir / "index.bin", sample.codes, sample.graph);
  const HnswFile file(sample.dir / "index.bin");
  const auto queries = random_rows(20, kDim, 48);
  for (std::size_t q = 0; q < 20; ++q) {
    HnswSearch search(file);
    const auto first = search.search(row_of(queries, kDim, q), 64);
    REQUIRE(!search.maps_codes());
    const auto second = search.search(row_of(queries, kDim, q), 64);
    REQUIRE(search.maps_codes());
    REQUIRE(first.size() == second.size());
    for (std::size_t i = 0; i < first.size(); ++i) {
      CHECK(first[i].row == second[i].row);
      CHECK(first[i].score == second[i].score);
    }
  }
}

TEST_CASE("scores by codes lie within the doubt of exact ones, and rows within it alone are scored anew") {
  const GraphSample sample(random_rows(3000, 96, 49), 96, {.ef_construction = 60, .threads = 2});
  write_hnsw_file(sample.dir / "index.bin", sample.codes, sample.graph);
  const HnswFile file(sample.dir / "index.bin");
  HnswSearch search(file);
  const auto queries = random_rows(50, 96, 50);
  std::size_t scored = 0;
  for (std::size_t q = 0; q < 50; ++q) {
    const auto query = row_of(queries, 96, q);
    auto hits = search.search(query, 100);
    auto all = hits;
    CHECK(search.doubt() > 0);
    for (const Hit& hit : hits) {
      const float exact = kernels().inner_product(query.data(), sample.vectors.row(hit.row).data(), 96);
      CHECK(std::abs(exact - hit.score) < search.doubt());
    }
    score_exactly(sample.vectors, query, hits, 10, search.doubt(), false);
    score_exactly(sample.vectors, query, all, 10, std::numeric_limits<float>::infinity(), false);
    REQUIRE(all.size() == 100);
    REQUIRE(hits.size() >= 10);
    for (std::size_t i = 0; i < 10; ++i) CHECK(hits[i].row == all[i].row);
    scored += hits.size();
  }
  CHECK(scored < 50 * 60);
}
