#include <doctest/doctest.h>

#include <algorithm>

#include "reef/vector/faiss_helper.h"
#include "reef/vector/store.h"
#include "unit/vector/fake_faiss.h"
#include "unit/vector/store_sample.h"

namespace reef::vector {
namespace {

using test::contains;
using test::SampleStore;

void rebuild_store(SampleStore& store, const RebuildOptions& options = {}) {
  StoreWriter writer(store.folder(), store.metadata());
  const Rebuilt rebuilt = rebuild(writer, options, no_progress());
  io::Transaction transaction(store.metadata());
  writer.adopt(rebuilt.state);
  transaction.commit();
  writer.publish();
}

FaissComparison compare(SampleStore& store) {
  const auto comparison = compare_with_faiss(store.folder(), store.metadata());
  REQUIRE(comparison);
  return *comparison;
}

TEST_CASE("FAISS finds in a graph what reef finds") {
  if (!faiss_available()) return;
  for (const bool outliers : {false, true}) {
    CAPTURE(outliers);
    SampleStore store(outliers ? test::rows_with_outliers(3000, SampleStore::kDim, 5)
                               : test::unit_rows(3000, SampleStore::kDim, 5));
    store.add(2500);
    CHECK_FALSE(compare_with_faiss(store.folder(), store.metadata()));  // no index yet
    rebuild_store(store);
    store.add(500);  // a tail that the index does not know
    const FaissComparison comparison = compare(store);
    CHECK(comparison.file == "index.2.bin");
    CHECK(comparison.rows == 2500);
    CHECK(comparison.questions == 100);
    CHECK(comparison.agreement >= .99);
    CHECK(comparison.faults.empty());
    CHECK_FALSE(comparison.by_factory);
  }
}

TEST_CASE("of what a factory string made FAISS finds vectors again") {
  if (!faiss_available()) return;
  SampleStore store;
  store.add(2000);
  rebuild_store(store, {.factory = "IVF16,SQ8"});
  FaissComparison comparison = compare(store);
  CHECK(comparison.by_factory);
  CHECK(comparison.rows == 2000);
  CHECK(comparison.agreement >= .95);
  CHECK(comparison.faults.empty());
  // An index of the same shape over other vectors.
  write_npy(store / "others.npy", test::unit_rows(2000, SampleStore::kDim, 99), SampleStore::kDim);
  build_faiss_index("IVF16,SQ8", store / "others.npy", 2000, store / "index.2.bin", 1, no_progress());
  comparison = compare(store);
  REQUIRE(comparison.faults.size() == 1);
  CHECK(contains(comparison.faults[0].what, "again: it is an index over others"));
  CHECK(contains(comparison.faults[0].next_step, "reef-index build"));
}

TEST_CASE("an index that FAISS reads otherwise, or not at all, is a fault") {
  if (!faiss_available()) return;
  SampleStore store;
  store.add(2000);
  rebuild_store(store);
  const auto fault = [&] {
    const FaissComparison comparison = compare(store);
    REQUIRE(!comparison.faults.empty());
    CHECK(contains(comparison.faults[0].file, "index.2.bin"));
    return comparison.faults[0].what;
  };
  build_faiss_index("HNSW16,SQ8", store / "vectors.npy", 1999, store / "index.2.bin", 1, no_progress());
  CHECK(contains(fault(), "FAISS counts 1999 rows in it, the store 2000"));
  write_npy(store / "narrow.npy", test::unit_rows(2000, 12, 1), 12);
  build_faiss_index("HNSW16,SQ8", store / "narrow.npy", 2000, store / "index.2.bin", 1, no_progress());
  CHECK(contains(fault(), "an index over 12 dimensions, the vectors have 24"));
  test::write_file(store / "index.2.bin", "no index");
  CHECK(contains(fault(), "index.2.bin"));
  std::filesystem::remove(store / "index.2.bin");
  CHECK(contains(fault(), "index.2.bin"));
}

TEST_CASE("another answer than reef's is a fault") {
  SampleStore store;
  store.add(2000);
  rebuild_store(store);
  const auto fault_of_answer = [&](const std::string& entry) {
    // 2,000 rows of 24 dimensions; the same 64 entries for each question.
    const test::FakeHelper fake(
        "printf 'RFS1\\030\\0\\0\\0\\320\\007\\0\\0\\0\\0\\0\\0'\n"
        "entry='" +
        entry +
        "'; four=$entry$entry$entry$entry\n"
        "sixteen=$four$four$four$four\n"
        "while [ \"$(head -c 104 | wc -c)\" -eq 104 ]; do\n"
        "  printf \"$sixteen$sixteen$sixteen$sixteen\"\n"
        "done\n");
    const FaissComparison comparison = compare(store);
    REQUIRE(!comparison.faults.empty());
    return comparison.faults.front().what;
  };
  // Nothing found; then row 0, the nearest of the first question, with a score of 2.
  CHECK(contains(fault_of_answer(R"(\377\377\377\377\377\377\377\377\0\0\0\0)"), "agree on 0.000 of the rows"));
  CHECK(contains(fault_of_answer(R"(\0\0\0\0\0\0\0\0\0\0\0\100)"), "FAISS scores row 0 with 2.0000, reef with"));
}

}  // namespace
}  // namespace reef::vector
