// FAISS as Debian packages it reads index.bin as its own, and finds in it what reef finds (ctest: peers_faiss_debian).
// faiss_reads_index.py asks the same of FAISS's current Python package, and says more where they differ.
#include <faiss/IndexHNSW.h>
#include <faiss/index_io.h>
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <memory>

#include "index_sample.h"
#include "reef/vector/scan.h"
#include "support/temp_dir.h"

namespace {

using namespace reef;
using peers::IndexSample;

constexpr std::size_t kRows = 3000;
constexpr std::size_t kResults = IndexSample::kResults;

int failures = 0;

void check(bool truth, const char* what) {
  if (truth) return;
  fmt::print("failed: {}\n", what);
  ++failures;
}

void check_codes(const faiss::IndexHNSW& index, const IndexSample& sample) {
  const auto* const codes = dynamic_cast<const faiss::IndexScalarQuantizer*>(index.storage);
  check(codes != nullptr && codes->sq.qtype == faiss::ScalarQuantizer::QT_8bit, "vectors are 8-bit codes");
  if (codes == nullptr) return;
  const float step = codes->sq.trained.back() / 255;
  std::vector<float> decoded(sample.vectors.dim());
  float worst = 0;
  std::size_t cut = 0;
  for (std::size_t row = 0; row < kRows; ++row) {
    index.reconstruct(static_cast<faiss::Index::idx_t>(row), decoded.data());
    for (std::size_t j = 0; j < decoded.size(); ++j) {
      const float x = sample.vectors.row(row)[j];
      if (x > 127.5F * step || x < -128.5F * step) {
        ++cut;
      } else {
        worst = std::max(worst, std::abs(decoded[j] - x));
      }
    }
  }
  check(worst <= step / 2 * 1.0001F, "codes are decoded to within half a step");
  check(cut * 1000 <= kRows * decoded.size(), "hardly a value is cut");
}

std::size_t in_common(const std::vector<vector::Hit>& hits, const faiss::Index::idx_t* ids) {
  return static_cast<std::size_t>(std::count_if(ids, ids + kResults, [&](faiss::Index::idx_t id) {
    return std::ranges::find(hits, static_cast<std::uint64_t>(id), &vector::Hit::row) != hits.end();
  }));
}

void compare(std::size_t dim) {
  const test::TempDir folder;
  const IndexSample sample(folder.path(), kRows, dim, 2);
  const std::unique_ptr<faiss::Index> read(faiss::read_index((folder / "index.bin").c_str()));
  const auto* const index = dynamic_cast<const faiss::IndexHNSW*>(read.get());
  check(index != nullptr, "the index is an IndexHNSW");
  if (index == nullptr) return;
  check(static_cast<std::size_t>(index->d) == dim && index->ntotal == kRows, "its shape");
  check(index->metric_type == faiss::METRIC_INNER_PRODUCT && index->is_trained, "its metric");
  check(index->hnsw.efSearch == static_cast<int>(IndexSample::kEf), "its efSearch");
  check_codes(*index, sample);

  std::vector<faiss::Index::idx_t> ids(IndexSample::kQueries * kResults);
  std::vector<float> scores(ids.size());
  index->search(IndexSample::kQueries, sample.queries.row(0).data(), kResults, scores.data(), ids.data());
  std::size_t equal = 0, ours = 0, theirs = 0;
  for (std::size_t q = 0; q < IndexSample::kQueries; ++q) {
    const faiss::Index::idx_t* const found = ids.data() + q * kResults;
    const auto truth = vector::scan_exact(sample.vectors, sample.queries.row(q), kResults, 0, kRows, {});
    equal += in_common(sample.hits[q], found);
    theirs += in_common(truth, found);
    for (const vector::Hit& hit : sample.hits[q])
      ours += static_cast<std::size_t>(std::ranges::count(truth, hit.row, &vector::Hit::row));
  }
  constexpr double kAll = IndexSample::kQueries * kResults;
  const double agreement = static_cast<double>(equal) / kAll, recall = static_cast<double>(ours) / kAll;
  const double faiss_recall = static_cast<double>(theirs) / kAll;
  fmt::print("{} x {}: {:.2f} % of ids equal, recall@10 {:.4f}, FAISS {:.4f}\n", kRows, dim, 100 * agreement, recall,
             faiss_recall);
  check(agreement >= .999, "all ids equal, but where scores tie");
  check(std::abs(recall - faiss_recall) <= .01, "recall within .01");
}

}  // namespace

int main() {
  omp_set_num_threads(1);  // two wait for each other in busy loops, for seconds where processors are shared
  try {
    for (const std::size_t dim : {64U, 100U}) compare(dim);
  } catch (const std::exception& e) {
    check(false, e.what());
  }
  return failures == 0 ? 0 : 1;
}
