#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "reef/core/cancel.h"
#include "reef/core/log.h"
#include "reef/core/share_work.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/vector/internal/store_files.h"
#include "reef/vector/internal/top_k.h"
#include "reef/vector/kernels.h"
#include "reef/vector/store.h"

namespace reef::vector {
namespace {

constexpr std::uint64_t kRowsAtOnce = 4096;

/// Appends the rows `kept` of the present files to new ones.
void write_kept_rows(const std::filesystem::path& folder, const StoreState& from, const StoreState& to,
                     std::span<const std::uint64_t> kept, Progress& progress) {
  const NpyMatrix vectors = internal::open_vectors(folder, from);
  NpyAppender new_vectors(folder / to.vectors_file, "<f4", to.dim * sizeof(float), to.dim, 0);
  NpyAppender new_codes(folder / to.codes_file, codes_descr(to.dim), code_row_bytes(to.dim), 0, 0);
  std::vector<float> rows;
  std::vector<std::uint8_t> encoded;
  for (std::size_t begin = 0; begin < kept.size(); begin += kRowsAtOnce) {
    check_interrupt();
    const auto block = kept.subspan(begin, std::min<std::size_t>(kRowsAtOnce, kept.size() - begin));
    rows.clear();
    for (const std::uint64_t row : block) rows.insert(rows.end(), vectors.row(row).begin(), vectors.row(row).end());
    encoded.clear();
    encode_rows(rows, to.dim, encoded);
    new_vectors.append({reinterpret_cast<const std::uint8_t*>(rows.data()), rows.size() * sizeof(float)});
    new_codes.append(encoded);
    progress.advance(block.size());
  }
  new_vectors.sync();
  new_codes.sync();
}

/// The rows that are alive, ascending.
std::vector<std::uint64_t> alive_rows(io::Database& metadata, std::uint64_t total) {
  auto query = metadata.prepare("SELECT row FROM dead_rows ORDER BY row");
  std::vector<std::uint64_t> kept;
  std::uint64_t next = 0;
  while (query.step()) {
    const auto dead = static_cast<std::uint64_t>(query.integer(0));
    for (; next < dead; ++next) kept.push_back(next);
    next = dead + 1;
  }
  for (; next < total; ++next) kept.push_back(next);
  return kept;
}

// ---- recall on a sample

constexpr std::size_t kQuestions = 100;
constexpr std::size_t kNearest = 10;
constexpr std::size_t kScoredAnew = 40;

/// Best `k` rows of each question, `score(question, row)` telling how near; blocks of rows are shared by all questions,
/// so that they are read from memory once.
template <typename Score>
std::vector<std::vector<Hit>> nearest_of_all(std::size_t questions, std::uint64_t rows, std::size_t k, unsigned threads,
                                             const Score& score) {
  std::vector<std::vector<Hit>> found(questions);
  const std::size_t share = (questions + threads - 1) / threads;
  const auto work = [&](std::size_t, std::size_t item) {
    const std::size_t begin = item * share, end = std::min(questions, begin + share);
    std::vector<internal::TopK> best(end > begin ? end - begin : 0, internal::TopK(k));
    constexpr std::uint64_t kBlock = 64;
    for (std::uint64_t block = 0; block < rows; block += kBlock) {
      if (block % (kBlock * 256) == 0) check_interrupt();
      for (std::size_t q = begin; q < end; ++q)
        for (std::uint64_t row = block; row < std::min(rows, block + kBlock); ++row)
          best[q - begin].offer(row, score(q, row));
    }
    for (std::size_t q = begin; q < end; ++q) found[q] = best[q - begin].take();
  };
  share_work(threads, threads, work, [] {});
  return found;
}

double overlap(std::vector<std::vector<Hit>>& found, const std::vector<std::vector<Hit>>& truth) {
  std::size_t common = 0, all = 0;
  for (std::size_t q = 0; q < truth.size(); ++q) {
    all += truth[q].size();
    for (const Hit& hit : truth[q])
      common += static_cast<std::size_t>(
          std::count_if(found[q].begin(), found[q].end(), [&](const Hit& other) { return other.row == hit.row; }));
  }
  return all > 0 ? static_cast<double>(common) / static_cast<double>(all) : 1;
}

/// The best ten by exact score.
void score_anew(const NpyMatrix& vectors, std::span<const float> question, std::vector<Hit>& hits) {
  for (Hit& hit : hits)
    hit.score = kernels().inner_product(question.data(), vectors.row(hit.row).data(), vectors.dim());
  std::sort(hits.begin(), hits.end(), internal::better);
  if (hits.size() > kNearest) hits.resize(kNearest);
}

RecallSample sample_recall(const NpyMatrix& vectors, const UniformCodes& codes, const std::filesystem::path& index,
                           unsigned threads) {
  const std::uint64_t rows = vectors.rows();
  RecallSample sample;
  sample.questions = std::min<std::uint64_t>(kQuestions, rows);
  const auto question_row = [&](std::size_t q) { return q * (rows / sample.questions); };
  const auto question = [&](std::size_t q) { return vectors.row(question_row(q)); };
  const auto truth = nearest_of_all(sample.questions, rows, kNearest, threads, [&](std::size_t q, std::uint64_t row) {
    return kernels().inner_product(question(q).data(), vectors.row(row).data(), vectors.dim());
  });
  std::vector<std::vector<std::int8_t>> coded(sample.questions, std::vector<std::int8_t>(vectors.dim()));
  for (std::size_t q = 0; q < sample.questions; ++q)
    to_signed(codes.row(question_row(q)), codes.dim(), coded[q].data());
  auto by_codes = nearest_of_all(sample.questions, rows, kScoredAnew, threads, [&](std::size_t q, std::uint64_t row) {
    const std::uint8_t* const four[4] = {codes.row(row), codes.row(row), codes.row(row), codes.row(row)};
    std::int32_t products[4];
    kernels().dot_four_unsigned(coded[q].data(), four, codes.dim(), products);
    return static_cast<float>(products[0]);
  });
  const HnswFile file(index);
  HnswSearch walk(file);
  std::vector<std::vector<Hit>> by_graph(sample.questions);
  for (std::size_t q = 0; q < sample.questions; ++q) {
    score_anew(vectors, question(q), by_codes[q]);
    by_graph[q] = walk.search(question(q), file.ef_search());
    if (by_graph[q].size() > kScoredAnew) by_graph[q].resize(kScoredAnew);
    score_anew(vectors, question(q), by_graph[q]);
  }
  sample.codes = overlap(by_codes, truth);
  sample.graph = overlap(by_graph, truth);
  return sample;
}

void build_graph(const std::filesystem::path& folder, const RebuildOptions& options, Rebuilt& rebuilt,
                 Progress& progress) {
  StoreState& state = rebuilt.state;
  const NpyMatrix vectors = internal::open_vectors(folder, state);
  progress.begin("building the graph", vectors.rows(), ProgressUnit::items);
  const UniformCodes codes(vectors, options.threads);
  const HnswGraph graph =
      build_hnsw(codes, {.threads = options.threads}, [&](std::uint64_t rows) { progress.advance(rows); });
  state.index_file = fmt::format("index.{}.bin", state.generation);
  state.rows_indexed = vectors.rows();
  const std::filesystem::path path = folder / state.index_file;
  write_hnsw_file(path, codes, graph);
  state.index_sha256 = io::to_hex(io::sha256_file(path, [](std::uint64_t) { check_interrupt(); }));
  rebuilt.recall = sample_recall(vectors, codes, path, options.threads);
  progress.end();
}

}  // namespace

Rebuilt rebuild(StoreWriter& store, const RebuildOptions& options, Progress& progress) {
  Rebuilt rebuilt;
  const StoreState& from = store.state();
  StoreState& to = rebuilt.state;
  to = from;
  to.generation = from.generation + 1;
  to.index_file.clear();
  to.rows_indexed = 0;
  to.index_sha256.clear();
  std::vector<std::uint64_t> kept = alive_rows(store.metadata(), from.rows_total);
  rebuilt.removed = from.rows_total - kept.size();
  if (kept.empty()) {
    // Nothing is left: whoever adds the next vector may bring another model.
    to = StoreState{};
    to.generation = from.generation + 1;
    return rebuilt;
  }
  if (rebuilt.removed > 0) {
    to.rows_total = kept.size();
    to.vectors_file = fmt::format("vectors.{}.npy", to.generation);
    to.codes_file = fmt::format("codes.{}.npy", to.generation);
    progress.begin("leaving removed rows out", kept.size(), ProgressUnit::items);
    write_kept_rows(store.folder(), from, to, kept, progress);
    progress.end();
    rebuilt.kept = std::move(kept);
  }
  if (options.with_graph) build_graph(store.folder(), options, rebuilt, progress);
  return rebuilt;
}

bool is_large_enough(const StoreState& state) {
  // Below, a scan answers in less time than a graph's pages take to come from a cold disk.
  return state.rows_total >= 20'000;
}

bool rebuild_is_due(const StoreState& state, std::uint64_t dead_rows) {
  constexpr std::uint64_t kDeadRows = 1'000;
  if (state.rows_total > 0 && dead_rows == state.rows_total) return true;
  if (dead_rows >= kDeadRows && dead_rows * 5 > state.rows_total) return true;
  const std::uint64_t tail = state.rows_total - state.rows_indexed;
  return is_large_enough(state) && tail * 10 > state.rows_total;
}

}  // namespace reef::vector
