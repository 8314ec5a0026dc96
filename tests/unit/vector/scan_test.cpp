#include "reef/vector/scan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "reef/vector/kernels.h"
#include "sample.h"
#include "support/temp_dir.h"

using namespace reef;
using namespace reef::vector;
using namespace reef::test;

namespace {

/// `rows` vectors and codes of the first `coded` of them.
struct Index {
  TempDir dir;
  std::vector<float> values;
  NpyMatrix vectors;
  CodeMatrix codes;

  Index(std::vector<float> rows, std::size_t dim, std::size_t coded) : values(std::move(rows)) {
    write_npy(dir / "vectors.npy", values, dim);
    NpyAppender appender(dir / "codes.npy", codes_descr(dim), code_row_bytes(dim), 0);
    std::vector<std::uint8_t> encoded;
    encode_rows(std::span<const float>(values).first(coded * dim), dim, encoded);
    appender.append(encoded);
    appender.sync();
    vectors = NpyMatrix(dir / "vectors.npy");
    codes = CodeMatrix(dir / "codes.npy", dim);
  }
};

std::vector<std::uint64_t> rows_of(const std::vector<Hit>& hits) {
  std::vector<std::uint64_t> rows;
  for (const Hit& hit : hits) rows.push_back(hit.row);
  return rows;
}

/// The truth by sorting everything, for whatever rows a test allows.
std::vector<std::uint64_t> sorted_rows(const Index& index, std::span<const float> query, std::size_t k,
                                       const std::vector<std::uint64_t>& allowed) {
  std::vector<Hit> hits;
  for (const std::uint64_t row : allowed) {
    hits.push_back({row, kernels().inner_product(query.data(), index.vectors.row(row).data(), query.size())});
  }
  std::stable_sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.score > b.score; });
  hits.resize(std::min(k, hits.size()));
  return rows_of(hits);
}

double recall(const std::vector<std::uint64_t>& truth, const std::vector<Hit>& found) {
  const auto rows = rows_of(found);
  const auto hits = std::count_if(truth.begin(), truth.end(), [&](std::uint64_t row) {
    return std::find(rows.begin(), rows.end(), row) != rows.end();
  });
  return static_cast<double>(hits) / static_cast<double>(truth.size());
}

constexpr std::size_t kDim = 96;

}  // namespace

TEST_CASE("codes and floats find what exact search finds") {
  constexpr std::size_t kQueries = 100;
  const Index index(unit_rows(4000, kDim, 5), kDim, 4000);
  const auto queries = unit_rows(kQueries, kDim, 6);
  double sum = 0;
  for (std::size_t q = 0; q < kQueries; ++q) {
    const auto query = row_of(queries, kDim, q);
    const auto truth = scan_exact(index.vectors, query, 10, 0, 4000, {});
    const auto found = scan(index.vectors, index.codes, query, 10, 0, 4000, {});
    REQUIRE(found.size() == 10);
    CHECK(found.front().score == truth.front().score);  // scores are those of the floats
    sum += recall(rows_of(truth), found);
  }
  CHECK(sum / kQueries >= 0.999);
}

TEST_CASE("exact search is what sorting everything gives") {
  const Index index(unit_rows(1000, kDim, 7), kDim, 0);
  const auto query = unit_rows(1, kDim, 8);
  std::vector<std::uint64_t> all(1000);
  std::iota(all.begin(), all.end(), 0);
  for (const std::size_t k : {1u, 2u, 7u, 100u, 999u, 1000u, 5000u}) {
    CAPTURE(k);
    CHECK(rows_of(scan_exact(index.vectors, query, k, 0, 1000, {})) == sorted_rows(index, query, k, all));
  }
}

TEST_CASE("ranges, filters and dead rows hold in every mixture") {
  // Few enough rows for all to be candidates: scan() must then equal exact search.
  const Index index(unit_rows(500, kDim, 9), kDim, 300);
  const auto query = unit_rows(1, kDim, 10);
  std::mt19937 generator(11);
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    const std::uint64_t begin = generator() % 400;
    const std::uint64_t end = begin + generator() % (550 - begin);
    std::vector<std::uint64_t> only, dead, allowed;
    const unsigned share = 1 + generator() % 8;
    for (std::uint64_t row = 0; row < 520; ++row) {
      if (generator() % share == 0) only.push_back(row);
      if (generator() % 3 == 0) dead.push_back(row);
    }
    const bool filtered = round % 2 == 0;
    for (std::uint64_t row = begin; row < std::min<std::uint64_t>(end, 500); ++row) {
      if (std::binary_search(dead.begin(), dead.end(), row)) continue;
      if (filtered && !std::binary_search(only.begin(), only.end(), row)) continue;
      allowed.push_back(row);
    }
    const RowFilter filter{filtered ? &only : nullptr, dead};
    const std::size_t k = 150 + generator() % 300;
    const auto truth = sorted_rows(index, query, k, allowed);
    CHECK(rows_of(scan_exact(index.vectors, query, k, begin, end, filter)) == truth);
    CHECK(rows_of(scan(index.vectors, index.codes, query, k, begin, end, filter)) == truth);
  }
}

TEST_CASE("rows without codes are scored in float") {
  const Index index(unit_rows(800, kDim, 12), kDim, 0);
  const auto query = unit_rows(1, kDim, 13);
  const auto truth = scan_exact(index.vectors, query, 10, 0, 800, {});
  CHECK(rows_of(scan(index.vectors, index.codes, query, 10, 0, 800, {})) == rows_of(truth));
  CHECK(rows_of(scan(index.vectors, CodeMatrix(), query, 10, 0, 800, {})) == rows_of(truth));
}

TEST_CASE("equal scores go to the lower row") {
  std::vector<float> rows;
  const auto one = unit_rows(1, kDim, 14);
  for (int i = 0; i < 600; ++i) rows.insert(rows.end(), one.begin(), one.end());
  const Index index(rows, kDim, 600);
  CHECK(rows_of(scan(index.vectors, index.codes, one, 4, 0, 600, {})) == std::vector<std::uint64_t>{0, 1, 2, 3});
  CHECK(rows_of(scan_exact(index.vectors, one, 4, 0, 600, {})) == std::vector<std::uint64_t>{0, 1, 2, 3});
}

TEST_CASE("threads find what one finds, ties too") {
  auto rows = unit_rows(20'000, kDim, 15);
  for (const std::size_t twin : {100UL, 9'000UL, 19'999UL})  // of row 8,191, at the end of a piece
    std::copy_n(rows.begin() + 8'191 * kDim, kDim, rows.begin() + static_cast<std::ptrdiff_t>(twin * kDim));
  const Index index(rows, kDim, 0);
  const std::vector<float> query(rows.begin() + 100 * kDim, rows.begin() + 101 * kDim);
  for (const std::size_t k : {0, 1, 3, 50, 30'000})
    CHECK(rows_of(scan_exact(index.vectors, query, k, 3)) ==
          rows_of(scan_exact(index.vectors, query, k, 0, 20'000, {})));
  CHECK(rows_of(scan_exact(index.vectors, query, 3, 2)) == std::vector<std::uint64_t>{100, 8'191, 9'000});
}

TEST_CASE("nothing to find gives nothing") {
  const Index index(unit_rows(10, kDim, 15), kDim, 10);
  const auto query = unit_rows(1, kDim, 16);
  const std::vector<std::uint64_t> none;
  const std::vector<std::uint64_t> beyond = {10, 11, 1000};
  CHECK(scan(index.vectors, index.codes, query, 0, 0, 10, {}).empty());
  CHECK(scan(index.vectors, index.codes, query, 5, 4, 4, {}).empty());
  CHECK(scan(index.vectors, index.codes, query, 5, 12, 4, {}).empty());
  CHECK(scan(index.vectors, index.codes, query, 5, 0, 10, {&none, {}}).empty());
  CHECK(scan(index.vectors, index.codes, query, 5, 0, 10, {&beyond, {}}).empty());
  CHECK(scan(index.vectors, index.codes, query, SIZE_MAX, 0, 10, {}).size() == 10);
}
