#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/share_work.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/vector/faiss_helper.h"
#include "reef/vector/internal/candidates.h"
#include "reef/vector/internal/recall_sample.h"
#include "reef/vector/internal/store_files.h"
#include "reef/vector/store.h"

namespace reef::vector {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kRowsAtOnce = 4096;

/// Appends the rows `kept` of the present files to new ones.
void write_kept_rows(const fs::path& folder, const StoreState& from, const StoreState& to,
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
  auto query = metadata.prepare("SELECT row FROM dead_rows WHERE row >= 0 AND row < ? ORDER BY row");
  query.bind(1, static_cast<std::int64_t>(total));
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

/// Writes index.<g>.bin over all rows of a generation and says in `rebuilt` what it became.
class IndexBuilder {
 public:
  IndexBuilder(const fs::path& folder, const RebuildOptions& options, Rebuilt& rebuilt, Progress& progress)
      : folder_(folder),
        options_(options),
        rebuilt_(rebuilt),
        progress_(progress),
        vectors_(internal::open_vectors(folder, rebuilt.state)) {}

  void run() {
    require_unit_rows();
    StoreState& state = rebuilt_.state;
    state.index_file = fmt::format("index.{}.bin", state.generation);
    state.index_factory = options_.factory;
    state.rows_indexed = vectors_.rows();
    const fs::path path = folder_ / state.index_file;
    if (options_.factory.empty())
      build_graph(path);
    else
      build_factory(path);
    state.index_sha256 = io::to_hex(io::sha256_file(path, [](std::uint64_t) { check_interrupt(); }));
  }

 private:
  /// A row that a failing drive changed would have codes that say nothing, and links that lead nowhere.
  void require_unit_rows() const {
    const std::size_t blocks = (vectors_.rows() + kRowsAtOnce - 1) / kRowsAtOnce;
    const auto check = [&](std::size_t, std::size_t block) {
      for (std::uint64_t row = block * kRowsAtOnce;
           row < std::min<std::uint64_t>((block + 1) * kRowsAtOnce, vectors_.rows()); ++row)
        if (!is_unit(vectors_.row(row)))
          throw Error(
              Errc::corrupt,
              fmt::format("{}: row {} is no unit vector", io::shown(folder_ / rebuilt_.state.vectors_file), row),
              "the file was damaged: restore the store from a backup; 'reef-index verify' tells more");
    };
    share_work(options_.threads, blocks, check, [] {});
  }

  void build_graph(const fs::path& path) {
    progress_.begin("building the graph", vectors_.rows(), ProgressUnit::items);
    const internal::RecallSampler sampler(vectors_, options_.threads);
    RecallSample& recall = rebuilt_.recall.emplace();
    recall.questions = sampler.questions();
    {
      const UniformCodes codes(vectors_, options_.threads);
      const HnswGraph graph =
          build_hnsw(codes, {.threads = options_.threads}, [&](std::uint64_t rows) { progress_.advance(rows); });
      write_hnsw_file(path, codes, graph);
      recall.codes = sampler.of_codes(codes);
    }
    recall.graph = recall_of_graph(sampler, path);
    progress_.end();
    if (recall.codes < options_.recall) replace_by_float_graph(sampler, path);
  }

  /// Where one step for all dimensions is too coarse, as with a few of them that dwarf the others, one for each helps.
  void replace_by_float_graph(const internal::RecallSampler& sampler, const fs::path& path) {
    RecallSample& recall = *rebuilt_.recall;
    rebuilt_.codes_lose =
        fmt::format("8-bit codes with one step for all dimensions find {:.3f} of the nearest, under the {} asked for; ",
                    recall.codes, options_.recall);
    const fs::path floats = io::temporary_name(path);
    try {
      build_float_graph(folder_ / rebuilt_.state.vectors_file, vectors_.rows(), floats, options_.threads, progress_);
      const double share = recall_of_graph(sampler, floats);
      if (share <= recall.graph) {
        fs::remove(floats);
        rebuilt_.codes_lose += fmt::format("a graph over floats finds {:.3f}, no more, and was not kept", share);
        return;
      }
      if (::rename(floats.c_str(), path.c_str()) != 0) throw_errno("rename", io::shown(floats));
      io::sync_directory(folder_);
      rebuilt_.state.index_by_floats = true;
      recall.graph = share;
      rebuilt_.codes_lose += "the graph was built over floats and keeps codes with a step for each dimension";
    } catch (const Error& e) {
      std::error_code ignored;
      fs::remove(floats, ignored);
      if (e.code() == Errc::interrupted) throw;
      rebuilt_.codes_lose += fmt::format("a graph over floats cannot be built: {}", e.what());
      if (!e.hint().empty()) rebuilt_.codes_lose += fmt::format(" ({})", e.hint());
    }
  }

  double recall_of_graph(const internal::RecallSampler& sampler, const fs::path& path) const {
    const HnswFile file(path);
    HnswSearch walk(file);
    return sampler.of([&](std::span<const float> question) {
      constexpr std::size_t kNearest = internal::RecallSampler::kNearest;
      auto hits = walk.search(question, file.ef_search());
      hits.resize(std::min(hits.size(), internal::graph_candidates(kNearest)));
      score_exactly(vectors_, question, hits, kNearest, walk.doubt(), false);
      return hits;
    });
  }

  void build_factory(const fs::path& path) {
    build_faiss_index(options_.factory, folder_ / rebuilt_.state.vectors_file, vectors_.rows(), path, options_.threads,
                      progress_);
    progress_.begin("searching a sample", 0, ProgressUnit::items);
    const internal::RecallSampler sampler(vectors_, options_.threads);
    RecallSample& recall = rebuilt_.recall.emplace();
    recall.questions = sampler.questions();
    recall.codes = sampler.of_codes(UniformCodes(vectors_, options_.threads));
    FaissSearch faiss(path, vectors_.dim());
    recall.graph = sampler.of([&](std::span<const float> question) {
      constexpr std::size_t kNearest = internal::RecallSampler::kNearest;
      auto hits = faiss.search(question, internal::faiss_candidates(kNearest));
      score_exactly(vectors_, question, hits, kNearest, std::numeric_limits<float>::infinity(), false);
      return hits;
    });
    progress_.end();
  }

  const fs::path& folder_;
  const RebuildOptions& options_;
  Rebuilt& rebuilt_;
  Progress& progress_;
  const NpyMatrix vectors_;
};

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
  to.index_factory.clear();
  to.index_by_floats = false;
  to.index_recall = options.recall;
  std::vector<std::uint64_t> kept = alive_rows(store.metadata(), from.rows_total);
  rebuilt.removed = from.rows_total - kept.size();
  if (kept.empty()) {
    // Nothing is left: whoever adds the next vector may bring another model.
    to = StoreState{};
    to.generation = from.generation + 1;
    return rebuilt;
  }
  try {
    if (rebuilt.removed > 0) {
      to.rows_total = kept.size();
      to.vectors_file = fmt::format("vectors.{}.npy", to.generation);
      to.codes_file = fmt::format("codes.{}.npy", to.generation);
      progress.begin("leaving removed rows out", kept.size(), ProgressUnit::items);
      write_kept_rows(store.folder(), from, to, kept, progress);
      progress.end();
      rebuilt.kept = std::move(kept);
    }
    if (options.with_graph) IndexBuilder(store.folder(), options, rebuilt, progress).run();
  } catch (...) {
    // Only what was written here: inside a caller's transaction the database does not name the files that readers have.
    for (const std::string* const name : {&to.vectors_file, &to.codes_file, &to.index_file}) {
      std::error_code ignored;
      if (*name != from.vectors_file && *name != from.codes_file && !name->empty())
        fs::remove(store.folder() / *name, ignored);
    }
    throw;
  }
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
