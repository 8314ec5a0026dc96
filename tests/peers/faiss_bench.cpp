// Debian's FAISS beside bench_index, on the same files; run by index_peers.py.
//
//   faiss_bench build PREFIX   HNSW32 over 8-bit codes of PREFIX.vectors.npy, on one thread: CPU seconds as JSON
//   faiss_bench one PREFIX     read_index(PREFIX.index.bin), one search, and the peak of memory as JSON
#include <faiss/IndexHNSW.h>
#include <faiss/index_io.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <omp.h>

#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "reef/vector/npy.h"
#include "support/peak_memory.h"

namespace {

using reef::vector::NpyMatrix;

int build(const std::string& prefix) {
  const NpyMatrix vectors(prefix + ".vectors.npy");
  faiss::IndexHNSWSQ index(static_cast<int>(vectors.dim()), faiss::ScalarQuantizer::QT_8bit, 32,
                           faiss::METRIC_INNER_PRODUCT);
  index.hnsw.efConstruction = 200;
  const std::clock_t begin = std::clock();
  index.train(static_cast<faiss::Index::idx_t>(vectors.rows()), vectors.row(0).data());
  index.add(static_cast<faiss::Index::idx_t>(vectors.rows()), vectors.row(0).data());
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  fmt::print("{{\"peer\":\"faiss-debian\",\"what\":\"build\",\"cpu_seconds\":{:.2f}}}\n", seconds);
  return 0;
}

int one(const std::string& prefix) {
  constexpr faiss::Index::idx_t kNearest = 10;
  const NpyMatrix queries(prefix + ".queries.npy");
  const std::unique_ptr<faiss::Index> index(faiss::read_index((prefix + ".index.bin").c_str()));
  std::vector<faiss::Index::idx_t> ids(kNearest);
  std::vector<float> scores(kNearest);
  index->search(1, queries.row(5).data(), kNearest, scores.data(), ids.data());
  fmt::print("{{\"peer\":\"faiss-debian\",\"what\":\"one\",\"ids\":{},\"peak_kib\":{}}}\n", ids,
             reef::test::peak_memory_kib());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  omp_set_num_threads(1);
  const std::string what = argc == 3 ? argv[1] : "";
  if (what == "build") return build(argv[2]);
  if (what == "one") return one(argv[2]);
  fmt::print(stderr, "usage: faiss_bench build|one PREFIX\n");
  return 2;
}
