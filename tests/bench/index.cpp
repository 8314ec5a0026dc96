// The graph of one store: building it, searching it, and one question from a fresh process. Prints JSON objects, one a
// line. PREFIX.vectors.npy and PREFIX.queries.npy hold unit rows (tests/peers/index_peers.py makes them and runs this
// beside hnswlib and FAISS); the graph is PREFIX.index.bin.
//
//   bench_index build PREFIX THREADS     CPU and wall seconds
//   bench_index search PREFIX            recall@10 and time per question over widths of the search
//   bench_index one PREFIX               the ids of the first question's neighbours
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "reef/vector/hnsw_search.h"
#include "reef/vector/kernels.h"
#include "reef/vector/scan.h"

namespace {

using namespace reef::vector;

constexpr std::size_t kNearest = 10;
constexpr std::size_t kScoredAnew = 40;

double cpu_seconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

long peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

int build(const std::string& prefix, unsigned threads) {
  const NpyMatrix vectors(prefix + ".vectors.npy");
  const double cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
  const auto wall = std::chrono::steady_clock::now();
  const UniformCodes codes(vectors, threads);
  const HnswGraph graph = build_hnsw(codes, {.threads = threads}, [](std::uint64_t) {});
  const double built_cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  const double built_wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count();
  write_hnsw_file(prefix + ".index.bin", codes, graph);
  fmt::print(
      "{{\"what\":\"build\",\"rows\":{},\"dim\":{},\"threads\":{},\"cpu_seconds\":{:.2f},\"seconds\":{:.2f},"
      "\"peak_kib\":{},\"kernels\":\"{}\"}}\n",
      vectors.rows(), vectors.dim(), threads, built_cpu, built_wall, peak_kib(), kernels().name);
  return 0;
}

/// The best ten: of the first candidates by exact score when `vectors` is given.
std::vector<Hit> ten_nearest(std::vector<Hit> hits, std::span<const float> query, const NpyMatrix* vectors) {
  if (vectors != nullptr) {
    if (hits.size() > kScoredAnew) hits.resize(kScoredAnew);
    for (Hit& hit : hits) hit.score = kernels().inner_product(query.data(), vectors->row(hit.row).data(), query.size());
    std::sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.score > b.score; });
  }
  if (hits.size() > kNearest) hits.resize(kNearest);
  return hits;
}

int search(const std::string& prefix) {
  const NpyMatrix vectors(prefix + ".vectors.npy"), queries(prefix + ".queries.npy");
  const HnswFile file(prefix + ".index.bin");
  HnswSearch walk(file);
  std::vector<std::vector<Hit>> truth;
  for (std::size_t q = 0; q < queries.rows(); ++q)
    truth.push_back(scan_exact(vectors, queries.row(q), kNearest, 0, vectors.rows(), {}));
  for (const std::size_t ef : {16, 32, 48, 64, 96, 128, 192, 256, 384, 512}) {
    for (const NpyMatrix* anew : {static_cast<const NpyMatrix*>(nullptr), &vectors}) {
      std::vector<double> times;
      std::size_t common = 0;
      for (std::size_t q = 0; q < queries.rows(); ++q) {
        const double begin = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
        const auto found = ten_nearest(walk.search(queries.row(q), ef), queries.row(q), anew);
        times.push_back(1e3 * (cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - begin));
        for (const Hit& hit : truth[q])
          common += static_cast<std::size_t>(
              std::count_if(found.begin(), found.end(), [&](const Hit& other) { return other.row == hit.row; }));
      }
      std::sort(times.begin(), times.end());
      fmt::print(
          "{{\"what\":\"search\",\"ef\":{},\"in_float\":{},\"recall\":{:.4f},\"p50_ms\":{:.4f},\"p99_ms\":{:.4f}}}\n",
          ef, anew != nullptr, static_cast<double>(common) / static_cast<double>(kNearest * queries.rows()),
          times[times.size() / 2], times[times.size() * 99 / 100]);
    }
  }
  return 0;
}

int one(const std::string& prefix) {
  const NpyMatrix vectors(prefix + ".vectors.npy"), queries(prefix + ".queries.npy");
  vectors.file().advise_random(0, vectors.file().size());
  const HnswFile file(prefix + ".index.bin");
  HnswSearch walk(file);
  const auto query = queries.row(5);
  for (const Hit& hit : ten_nearest(walk.search(query, file.ef_search()), query, &vectors)) fmt::print("{} ", hit.row);
  fmt::print("\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  if (what == "build" && argc == 4) return build(argv[2], static_cast<unsigned>(std::atoi(argv[3])));
  if (what == "search") return search(argv[2]);
  if (what == "one") return one(argv[2]);
  fmt::print(stderr, "usage: bench_index build PREFIX THREADS | search PREFIX | one PREFIX\n");
  return 2;
}
