#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "reef/vector/faiss_helper.h"
#include "reef/vector/kernels.h"
#include "reef/vector/store.h"
#include "unit/vector/fake_faiss.h"
#include "unit/vector/store_sample.h"

using namespace reef;
using namespace reef::vector;
using test::contains;
using test::SampleStore;

namespace {

/// As a document store does it: files first, then one transaction.
Rebuilt rebuild_store(SampleStore& store, const RebuildOptions& options = {}) {
  StoreWriter writer(store.folder(), store.metadata());
  Rebuilt rebuilt = rebuild(writer, options, no_progress());
  io::Transaction transaction(store.metadata());
  writer.adopt(rebuilt.state);
  transaction.commit();
  writer.publish();
  writer.remove_unnamed();
  return rebuilt;
}

void remove_rows(SampleStore& store, const std::vector<std::uint64_t>& rows) {
  StoreWriter writer(store.folder(), store.metadata());
  io::Transaction transaction(store.metadata());
  writer.remove(rows);
  transaction.commit();
}

/// Share of the 10 nearest that a reader finds, among `only` or all of the first `rows`.
double recall_of(SampleStore& store, StoreReader& reader, std::uint64_t rows, const std::vector<std::uint64_t>* only,
                 bool always_index = false) {
  const NpyMatrix vectors(store.folder() / "vectors.npy");
  std::size_t common = 0, all = 0;
  for (std::size_t q = 0; q < 50; ++q) {
    const auto query = test::row_of(store.values(), SampleStore::kDim, q * rows / 50);
    const auto truth = scan_exact(vectors, query, 10, 0, rows, {only, reader.dead()});
    const auto found = reader.search(query, 10, {.only = only, .always_index = always_index});
    REQUIRE(found.size() == truth.size());
    all += truth.size();
    for (const Hit& hit : truth)
      common += static_cast<std::size_t>(
          std::count_if(found.begin(), found.end(), [&](const Hit& other) { return other.row == hit.row; }));
  }
  return static_cast<double>(common) / static_cast<double>(all);
}

}  // namespace

TEST_CASE("a graph over all rows answers as the scan does, and so does the tail behind it") {
  SampleStore store;
  store.add(300);
  const auto rebuilt = rebuild_store(store);
  CHECK(rebuilt.kept.empty());
  CHECK(rebuilt.state.rows_indexed == 300);
  CHECK(rebuilt.state.vectors_file == "vectors.1.npy");  // no row moved
  REQUIRE(rebuilt.recall);
  CHECK(rebuilt.recall->graph >= .95);
  CHECK(store.answers(300));
  store.add(50);
  CHECK(store.reader().state().rows_indexed == 300);
  CHECK(store.answers(350));
  CHECK(store.faults().empty());
}

TEST_CASE("a reader's first question, which copies what it looks at, has the answer of the later ones") {
  SampleStore store;
  store.add(5000);
  rebuild_store(store);
  auto reader = store.reader();
  const NpyMatrix vectors(store.folder() / "vectors.npy");
  for (const std::size_t k : {10, 10, 40}) {
    const auto query = test::row_of(store.values(), SampleStore::kDim, 77);
    const auto hits = reader.search(query, k);
    const auto truth = scan_exact(vectors, query, k, 0, 5000, {});
    REQUIRE(hits.size() == k);
    for (std::size_t i = 0; i < k; ++i) {
      CHECK(hits[i].row == truth[i].row);
      CHECK(hits[i].score == truth[i].score);
    }
  }
}

TEST_CASE("removed rows are purged, and the rows that are kept get the next numbers") {
  SampleStore store;
  store.add(100);
  remove_rows(store, {0, 5, 99});
  const auto rebuilt = rebuild_store(store);
  CHECK(rebuilt.removed == 3);
  REQUIRE(rebuilt.kept.size() == 97);
  CHECK(rebuilt.kept[0] == 1);
  CHECK(rebuilt.kept[4] == 6);
  CHECK(store.files() == std::set<std::string>{"vectors.2.npy", "vectors.npy", "codes.2.npy", "codes.npy",
                                               "index.2.bin", "index.bin", "config.json"});
  auto reader = store.reader();
  CHECK(reader.dead().empty());
  for (std::size_t row = 0; row < rebuilt.kept.size(); ++row) {
    const auto hits = reader.search(test::row_of(store.values(), SampleStore::kDim, rebuilt.kept[row]), 1);
    REQUIRE(hits.size() == 1);
    CHECK(hits.front().row == row);
  }
  CHECK(store.faults().empty());
}

TEST_CASE("a store that lost all its rows takes another model") {
  SampleStore store;
  store.add(10);
  remove_rows(store, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(rebuild_is_due(store.reader().state(), 10));
  CHECK(rebuild_store(store).state.rows_total == 0);
  CHECK(store.reader().empty());
  StoreWriter writer(store.folder(), store.metadata());
  CHECK_NOTHROW(writer.use_model("another", "bbbb", 8));
}

TEST_CASE("a rebuild that is never adopted leaves nothing that the next writer keeps") {
  SampleStore store;
  store.add(60);
  remove_rows(store, {1, 2});
  {
    StoreWriter writer(store.folder(), store.metadata());
    rebuild(writer, {}, no_progress());
    CHECK(store.files().contains("index.2.bin"));
  }
  CHECK(store.reader().dead().size() == 2);
  StoreWriter next(store.folder(), store.metadata());
  CHECK_FALSE(store.files().contains("index.2.bin"));
  CHECK_FALSE(store.files().contains("vectors.2.npy"));
}

TEST_CASE("filters find what they allow, by a scan where little is allowed and by the graph elsewhere") {
  SampleStore store;
  store.add(2000);
  rebuild_store(store);
  auto reader = store.reader();
  for (const std::uint64_t step : {2, 10, 100, 1000}) {
    std::vector<std::uint64_t> only;
    for (std::uint64_t row = 0; row < 2000; row += step) only.push_back(row);
    CAPTURE(step);
    CHECK(recall_of(store, reader, 2000, &only) >= .95);
  }
}

TEST_CASE("the graph answers beside filters, removed rows and a tail as a scan does") {
  SampleStore store;
  store.add(4000);
  rebuild_store(store);
  store.add(500);
  std::vector<std::uint64_t> gone;
  for (std::uint64_t row = 0; row < 4500; row += 7) gone.push_back(row);
  remove_rows(store, gone);
  auto reader = store.reader();
  CHECK(recall_of(store, reader, 4500, nullptr, true) >= .97);
  for (const std::uint64_t step : {2, 5, 40}) {
    CAPTURE(step);
    std::vector<std::uint64_t> only;
    for (std::uint64_t row = 1; row < 4500; row += step) only.push_back(row);
    CHECK(recall_of(store, reader, 4500, &only, true) >= .95);
  }
  // Allowed rows far from the question: the graph's candidates all fail the filter, and a scan answers.
  const auto query = test::row_of(store.values(), SampleStore::kDim, 11);
  const NpyMatrix vectors(store.folder() / "vectors.npy");
  auto far = scan_exact(vectors, query, 4500, 0, 4500, {nullptr, reader.dead()});
  std::vector<std::uint64_t> only;
  for (std::size_t i = far.size() - 400; i < far.size(); ++i) only.push_back(far[i].row);
  std::sort(only.begin(), only.end());
  const auto hits = reader.search(query, 10, {.only = &only, .always_index = true});
  REQUIRE(hits.size() == 10);
  for (std::size_t i = 0; i < 5; ++i) CHECK(hits[i].row == far[far.size() - 400 + i].row);
}

TEST_CASE("an index that is damaged or empty costs time and one warning, not answers") {
  for (const bool empty : {false, true}) {
    CAPTURE(empty);
    SampleStore store;
    store.add(5000);
    rebuild_store(store);
    if (empty)
      std::filesystem::resize_file(store / "index.2.bin", 0);
    else
      test::patch_file(store / "index.2.bin", 8, "\x01");
    auto reader = store.reader();
    for (int i = 0; i < 2; ++i) CHECK(recall_of(store, reader, 5000, nullptr) >= .99);
    REQUIRE(reader.missing().size() == 1);
    CHECK(contains(reader.missing()[0], "index.2.bin"));
    CHECK_FALSE(store.faults(false).empty());
  }
}

TEST_CASE("counts that cannot be are refused or ignored, not followed") {
  SampleStore store;
  store.add(300);
  rebuild_store(store);
  store.metadata().execute("INSERT INTO dead_rows VALUES (9000000), (-5)");
  CHECK_FALSE(store.faults(false).empty());
  CHECK(rebuild_store(store).state.rows_total == 300);
  store.metadata().execute("UPDATE store SET rows_total = 100");
  const Error error = test::error_of([&] { store.reader(); });
  CHECK(error.code() == Errc::corrupt);
  CHECK(contains(error.what(), "counts 300 rows in the index of 100 in all"));
}

TEST_CASE("files of a generation that was never committed are told, and go with the next writer") {
  SampleStore store;
  store.add(50);
  test::write_file(store / "index.7.bin", "half");
  test::write_file(store / "vectors.7.npy", "half");
  CHECK(store.faults(true).size() == 2);
  store.add(1);
  CHECK(store.faults().empty());
}

TEST_CASE("where a few dimensions dwarf the others the graph is built over floats, and searched in place") {
  if (!faiss_available()) return;
  SampleStore store(test::rows_with_outliers(5100, SampleStore::kDim, 3));
  store.add(5000);
  const auto rebuilt = rebuild_store(store);
  REQUIRE(rebuilt.recall);
  CHECK(rebuilt.recall->codes < .5);
  CHECK(rebuilt.recall->graph >= .98);
  CHECK(index_kind(rebuilt.state) == IndexKind::float_graph);
  CHECK(contains(rebuilt.codes_lose, "under the 0.95 asked for; the graph was built over floats"));
  CHECK(store.files() == std::set<std::string>{"vectors.1.npy", "vectors.npy", "codes.1.npy", "codes.npy",
                                               "index.2.bin", "index.bin", "config.json"});
  CHECK(contains(io::read_file(store / "config.json"), "\"built_over\": \"floats\""));
  store.add(100);  // behind the graph: scanned
  CHECK(store.faults().empty());
  auto reader = store.reader();
  CHECK(reader.state().index_by_floats);
  CHECK(recall_of(store, reader, 5100, nullptr) >= .98);
  std::vector<std::uint64_t> few;
  for (std::uint64_t row = 0; row < 5100; row += 50) few.push_back(row);
  CHECK(recall_of(store, reader, 5100, &few) == 1);
}

TEST_CASE("a graph over floats that cannot be built, or finds no more, leaves the one over codes") {
  const auto kept = [](const Rebuilt& rebuilt) {
    CHECK(index_kind(rebuilt.state) == IndexKind::graph);
    CHECK_FALSE(rebuilt.state.index_by_floats);
    return rebuilt.codes_lose;
  };
  SampleStore store;
  store.add(300);
  {
    const test::FakeHelper fails("echo 'reef-faiss: out of memory' >&2; exit 1\n");
    CHECK(contains(kept(rebuild_store(store, {.recall = 2})), "cannot be built: "));
    CHECK(contains(kept(rebuild_store(store, {.recall = 2})), "out of memory"));
    CHECK(kept(rebuild_store(store, {.recall = .5})).empty());  // nothing to ask it for
  }
  const test::TempDir empty;
  ::setenv("REEF_LIBEXEC", empty.path().c_str(), 1);
  CHECK(contains(kept(rebuild_store(store, {.recall = 2})), "reef-faiss is missing (install libfaiss-dev"));
  ::unsetenv("REEF_LIBEXEC");
  CHECK(store.reader().state().index_recall == 2);
  CHECK(store.answers(300));
  CHECK(store.faults().empty());
  CHECK(store.files().size() == 7);
  if (!faiss_available()) return;
  CHECK(contains(kept(rebuild_store(store, {.recall = 2})), "no more, and was not kept"));
  CHECK(store.files().size() == 7);
}

TEST_CASE("an index that a factory string made answers with exact scores, beside filters, removed rows and a tail") {
  if (!faiss_available()) return;
  for (const std::string factory : {"Flat", "IVF16,SQ8", "HNSW16_PQ12", "LSH"}) {
    CAPTURE(factory);
    SampleStore store;
    store.add(2000);
    const auto rebuilt = rebuild_store(store, {.factory = factory});
    CHECK(index_kind(rebuilt.state) == IndexKind::factory);
    REQUIRE(rebuilt.recall);
    const double least = factory == "LSH" ? .5 : .95;
    CHECK(rebuilt.recall->graph >= least);
    CHECK(rebuilt.codes_lose.empty());
    CHECK(contains(io::read_file(store / "config.json"), "\"kind\": \"" + factory + "\""));
    store.add(100);
    remove_rows(store, {0, 40, 1990, 2050});
    auto reader = store.reader();
    CHECK(reader.state().index_factory == factory);
    CHECK(recall_of(store, reader, 2100, nullptr) >= least);
    for (const std::uint64_t step : {2, 5, 30}) {
      CAPTURE(step);
      std::vector<std::uint64_t> only;
      for (std::uint64_t row = 0; row < 2100; row += step) only.push_back(row);
      CHECK(recall_of(store, reader, 2100, &only) >= least);
    }
    CHECK(reader.missing().empty());
    const NpyMatrix vectors(store.folder() / "vectors.npy");
    const auto query = test::row_of(store.values(), SampleStore::kDim, 7);
    for (const Hit& hit : reader.search(query, 10))
      CHECK(hit.score == kernels().inner_product(query.data(), vectors.row(hit.row).data(), query.size()));
    CHECK(reader.search(query, 2100).size() == 2096);  // more than there are: all that are alive
    CHECK(store.faults().empty());
    // A build that does not ask for it makes reef's own graph.
    CHECK(index_kind(rebuild_store(store).state) == IndexKind::graph);
    CHECK(store.faults().empty());
  }
}

TEST_CASE("a factory that cannot be made leaves the store as it is") {
  if (!faiss_available()) return;
  SampleStore store;
  store.add(300);
  rebuild_store(store, {.factory = "Flat"});
  remove_rows(store, {5});
  const auto files = store.files();
  StoreWriter writer(store.folder(), store.metadata());
  const auto error_for = [&](const std::string& factory) {
    return test::error_of([&] { rebuild(writer, {.factory = factory}, no_progress()); });
  };
  const Error unknown = error_for("Flatt");
  CHECK(unknown.code() == Errc::usage);
  CHECK(contains(unknown.what(), "FAISS makes no index 'Flatt' over 24 dimensions"));
  CHECK(store.files() == files);
  const Error few = error_for("IVF500,Flat");
  CHECK(few.code() == Errc::failed);
  CHECK(contains(few.what(), "Number of training points (299)"));
  CHECK(contains(few.hint(), "add more vectors first"));
  CHECK(store.files() == files);
  CHECK(store.reader().state().index_factory == "Flat");
  CHECK(store.reader().dead().size() == 1);
}

TEST_CASE("an index that cannot be read costs time and one warning, not answers") {
  const auto answers_all = [](SampleStore& store, const std::string& why) {
    auto reader = store.reader();
    CHECK(recall_of(store, reader, 5000, nullptr) >= .98);
    REQUIRE(reader.missing().size() == 1);
    CHECK(contains(reader.missing()[0], why));
    CHECK(contains(reader.missing()[0], "scanning all vectors, which takes longer"));
  };
  SampleStore store;
  store.add(5000);
  rebuild_store(store);
  test::patch_file(store / "index.2.bin", 0, "XXXX");
  answers_all(store, "index.2.bin: it is no 'IHNs' index");
  if (!faiss_available()) return;
  rebuild_store(store, {.factory = "IVF16,Flat"});
  {
    const test::TempDir empty;
    ::setenv("REEF_LIBEXEC", empty.path().c_str(), 1);
    answers_all(store, "reef-faiss is missing");
    ::unsetenv("REEF_LIBEXEC");
  }
  const std::string whole = io::read_file(store / "index.3.bin");
  test::write_file(store / "index.3.bin", whole.substr(0, whole.size() / 2));
  answers_all(store, "index.3.bin");
  build_faiss_index("Flat", store / "vectors.npy", 4999, store / "index.3.bin", 1, no_progress());
  answers_all(store, "index.3.bin: holds 4999 rows, the store counts 5000");
  std::filesystem::remove(store / "index.3.bin");
  answers_all(store, "index.3.bin");
}

TEST_CASE("when a rebuild is due") {
  StoreState state;
  CHECK_FALSE(rebuild_is_due(state, 0));
  state.rows_total = 19'999;
  CHECK_FALSE(rebuild_is_due(state, 0));  // small: scanned
  CHECK_FALSE(rebuild_is_due(state, 900));
  CHECK(rebuild_is_due(state, 4'100));  // more than a fifth are dead
  state.rows_total = 20'000;
  CHECK(rebuild_is_due(state, 0));
  state.rows_indexed = 18'000;
  CHECK_FALSE(rebuild_is_due(state, 0));
  state.rows_indexed = 17'999;
  CHECK(rebuild_is_due(state, 0));  // more than a tenth is tail
}

TEST_CASE("a row that is no unit vector any more is named, and no index is made of it") {
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), 7.0F}) {
    SampleStore store;
    store.add(50);
    {
      std::fstream file(store / "vectors.npy", std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-static_cast<std::streamoff>(sizeof(float)) * SampleStore::kDim * 8, std::ios::end);  // row 42
      file.write(reinterpret_cast<const char*>(&value), sizeof value);
    }
    StoreWriter writer(store.folder(), store.metadata());
    for (const char* factory : {"", "Flat"})
      CHECK_THROWS_WITH_AS(rebuild(writer, {.factory = factory}, no_progress()),
                           doctest::Contains("row 42 is no unit vector"), Error);
    CHECK(store.reader().search(test::row_of(store.values(), SampleStore::kDim, 3), 1).front().row == 3);
  }
}

TEST_CASE("numbers of rows that there are not are left out, or refused") {
  SampleStore store;
  store.add(300);
  rebuild_store(store);
  store.metadata().execute("INSERT INTO dead_rows VALUES (-1), (7), (300), (9223372036854775807)");
  StoreReader reader = store.reader();
  CHECK(std::vector<std::uint64_t>(reader.dead().begin(), reader.dead().end()) == std::vector<std::uint64_t>{7});
  CHECK(reader.search(test::row_of(store.values(), SampleStore::kDim, 3), 1, {.always_index = true}).front().row == 3);
  CHECK_THROWS_AS(reader.row(300), Error);
}
