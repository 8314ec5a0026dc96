// The graph of one store: building it, searching it, and one question from a fresh process. Prints JSON objects, one a
// line. PREFIX.vectors.npy and PREFIX.queries.npy hold unit rows (tests/peers/index_peers.py makes them and runs this
// beside hnswlib and FAISS); the graph is PREFIX.index.bin.
//
//   bench_index build PREFIX THREADS     CPU and wall seconds
//   bench_index search PREFIX            recall@10 and time per question over widths of the search
//   bench_index filter PREFIX            recall@10 and time per question where only some rows may be found; makes a
//                                        store in PREFIX.store
//   bench_index one PREFIX               ten neighbours of one question, and the peak of memory
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "reef/vector/hnsw_search.h"
#include "reef/vector/kernels.h"
#include "reef/vector/scan.h"
#include "reef/vector/store.h"
#include "support/peak_memory.h"

namespace {

using namespace reef::vector;

constexpr std::size_t kNearest = 10;
constexpr std::size_t kScoredAnew = 40;

double cpu_seconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
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
      vectors.rows(), vectors.dim(), threads, built_cpu, built_wall, reef::test::peak_memory_kib(), kernels().name);
  return 0;
}

/// The best ten: of the first candidates by exact score when `vectors` is given.
std::vector<Hit> ten_nearest(HnswSearch& walk, std::size_t ef, std::span<const float> query, const NpyMatrix* vectors) {
  std::vector<Hit> hits = walk.search(query, ef);
  if (vectors != nullptr) {
    if (hits.size() > kScoredAnew) hits.resize(kScoredAnew);
    score_exactly(*vectors, query, hits, kNearest, walk.doubt(), !walk.maps_codes());
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
  for (const std::size_t ef : {16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512}) {
    for (const NpyMatrix* anew : {static_cast<const NpyMatrix*>(nullptr), &vectors}) {
      std::vector<double> times;
      std::size_t common = 0;
      for (std::size_t q = 0; q < queries.rows(); ++q) {
        const double begin = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
        const auto found = ten_nearest(walk, ef, queries.row(q), anew);
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

/// A store of the vectors with its graph; the one of an earlier run where there is one.
StoreReader open_store(const std::filesystem::path& folder, const NpyMatrix& vectors, reef::io::Database& metadata) {
  StoreReader made(folder, metadata);
  if (made.state().rows_indexed == vectors.rows()) return made;
  StoreWriter writer(folder, metadata);
  writer.use_model("bench", "bench", vectors.dim());
  writer.append({vectors.row(0).data(), vectors.rows() * vectors.dim()});
  const auto in_transaction = [&](const auto& work) {
    reef::io::Transaction transaction(metadata);
    work();
    transaction.commit();
  };
  in_transaction([&] { writer.commit(); });
  const Rebuilt rebuilt = rebuild(writer, {.threads = std::thread::hardware_concurrency()}, reef::no_progress());
  in_transaction([&] { writer.adopt(rebuilt.state); });
  return {folder, metadata};
}

/// Rows that one question may find: the `count` most like `centre`, or any where that is empty.
std::vector<std::uint64_t> allowed_rows(const NpyMatrix& vectors, std::span<const float> centre, std::size_t count) {
  std::mt19937 generator(7);
  std::vector<std::pair<float, std::uint64_t>> order(vectors.rows());
  for (std::uint64_t row = 0; row < order.size(); ++row) {
    order[row] = {centre.empty() ? static_cast<float>(generator())
                                 : -kernels().inner_product(centre.data(), vectors.row(row).data(), centre.size()),
                  row};
  }
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end());
  std::vector<std::uint64_t> rows;
  for (std::size_t i = 0; i < count; ++i) rows.push_back(order[i].second);
  std::sort(rows.begin(), rows.end());
  return rows;
}

int filter(const std::string& prefix) {
  constexpr std::size_t kQueries = 100;
  const NpyMatrix vectors(prefix + ".vectors.npy"), queries(prefix + ".queries.npy");
  const std::filesystem::path folder = prefix + ".store";
  std::filesystem::create_directories(folder);
  const std::string schema = std::string(kStoreSchema) + kIndexSchema;
  const char* const migrations[] = {schema.c_str()};
  reef::io::Database metadata = reef::io::open_or_make(folder / "metadata.sqlite", migrations, folder / "new.sqlite");
  StoreReader store = open_store(folder, vectors, metadata);
  // A tag or a persona is rows at random, or those about one subject: the question's or another.
  for (const std::string kind : {"anywhere", "around the question", "around another row"}) {
    for (const double rate : {.5, .1, .01, .001}) {
      const auto count = static_cast<std::size_t>(rate * static_cast<double>(vectors.rows()));
      std::vector<double> times;
      std::size_t common = 0;
      for (std::size_t q = 0; q < std::min<std::size_t>(kQueries, queries.rows()); ++q) {
        const auto query = queries.row(q);
        const auto centre = kind == "anywhere"              ? std::span<const float>()
                            : kind == "around the question" ? query
                                                            : vectors.row(q * 7919 % vectors.rows());
        const auto only = allowed_rows(vectors, centre, count);
        const auto truth = scan_exact(vectors, query, kNearest, 0, vectors.rows(), {&only, {}});
        const double begin = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
        const auto found = store.search(query, kNearest, {.only = &only});
        times.push_back(1e3 * (cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - begin));
        for (const Hit& hit : truth)
          common += static_cast<std::size_t>(
              std::count_if(found.begin(), found.end(), [&](const Hit& other) { return other.row == hit.row; }));
      }
      std::sort(times.begin(), times.end());
      fmt::print("{{\"what\":\"filter\",\"rows\":\"{}\",\"pass_rate\":{},\"recall\":{:.4f},\"p50_ms\":{:.3f}}}\n", kind,
                 rate, static_cast<double>(common) / static_cast<double>(kNearest * times.size()),
                 times[times.size() / 2]);
    }
  }
  return 0;
}

int one(const std::string& prefix) {
  const NpyMatrix vectors(prefix + ".vectors.npy"), queries(prefix + ".queries.npy");
  const HnswFile file(prefix + ".index.bin");
  HnswSearch walk(file);
  const auto query = queries.row(5);
  std::vector<std::uint64_t> rows;
  for (const Hit& hit : ten_nearest(walk, file.ef_search(), query, &vectors)) rows.push_back(hit.row);
  fmt::print("{{\"what\":\"one\",\"ids\":{},\"peak_kib\":{}}}\n", rows, reef::test::peak_memory_kib());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  if (what == "build" && argc == 4) return build(argv[2], static_cast<unsigned>(std::atoi(argv[3])));
  if (what == "search") return search(argv[2]);
  if (what == "filter") return filter(argv[2]);
  if (what == "one") return one(argv[2]);
  fmt::print(stderr, "usage: bench_index build PREFIX THREADS | search PREFIX | filter PREFIX | one PREFIX\n");
  return 2;
}
