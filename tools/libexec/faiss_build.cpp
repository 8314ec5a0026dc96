#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexNNDescent.h>
#include <faiss/IndexNSG.h>
#include <faiss/IndexPQ.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <random>
#include <vector>

#include "faiss_index.h"
#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/io/file.h"
#include "reef/vector/npy.h"

namespace reef::libexec {
namespace {

namespace fs = std::filesystem;
using vector::NpyMatrix;

constexpr std::uint64_t kBlockRows = 65'536;

/// Lines for the program that shows progress; it goes away when that does (SIGPIPE).
void say(const char* what, std::uint64_t rows) {
  fmt::print("{} {}\n", what, rows);
  std::fflush(stdout);
}

std::unique_ptr<faiss::Index> make_index(const std::string& factory, std::size_t dim) {
  const auto make = [&](faiss::MetricType metric) {
    return std::unique_ptr<faiss::Index>(faiss::index_factory(static_cast<int>(dim), factory.c_str(), metric));
  };
  try {
    // LSH and IMI exist for L2 alone, which orders unit vectors alike.
    return make(factory.find("LSH") != std::string::npos || factory.find("IMI") != std::string::npos
                    ? faiss::METRIC_L2
                    : faiss::METRIC_INNER_PRODUCT);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(
        Errc::usage,
        fmt::format("FAISS makes no index '{}' over {} dimensions ({}); it knows, for example, 'Flat', 'HNSW32', "
                    "'IVF1024,Flat', 'IVF256,PQ48' and 'HNSW32,SQ8'",
                    ellipsis(printable(factory), 80), dim, plain_message(e)));
  }
}

/// 256 rows for each centroid are all that FAISS's k-means looks at; what has no lists has code books of 256 entries.
std::uint64_t training_rows(faiss::Index* inner) {
  constexpr std::uint64_t kRowsPerCentroid = 256;
  constexpr std::uint64_t kFewestRows = 1 << 18;
  constexpr std::uint64_t kMostRows = 1'000'000;
  const auto* lists = dynamic_cast<faiss::IndexIVF*>(inner);
  return std::clamp(lists ? lists->nlist * kRowsPerCentroid : 0, kFewestRows, kMostRows);
}

/// `count` different rows of the file in its order.
std::vector<float> sample(const NpyMatrix& vectors, std::uint64_t count, std::int64_t seed) {
  std::mt19937_64 generator(static_cast<std::uint64_t>(seed));
  std::vector<float> rows;
  rows.reserve(count * vectors.dim());
  std::uint64_t wanted = count;
  for (std::uint64_t i = 0; wanted > 0; ++i) {
    if (generator() % (vectors.rows() - i) >= wanted) continue;
    const auto row = vectors.row(i);
    rows.insert(rows.end(), row.begin(), row.end());
    --wanted;
  }
  return rows;
}

/// Orders the code books for a way of searching that nobody asks for here, at 6 CPU seconds for each of them.
void skip_polysemous_training(faiss::Index* inner) {
  auto* graph = dynamic_cast<faiss::IndexHNSW*>(inner);
  if (auto* codes = dynamic_cast<faiss::IndexPQ*>(graph ? graph->storage : inner))
    codes->do_polysemous_training = false;
  if (auto* lists = dynamic_cast<faiss::IndexIVFPQ*>(inner)) lists->do_polysemous_training = false;
}

void train(faiss::Index& index, const NpyMatrix& vectors, std::int64_t seed) {
  if (index.is_trained) return;
  faiss::Index* const inner = innermost(&index);
  if (auto* lists = dynamic_cast<faiss::IndexIVF*>(inner)) lists->cp.seed = static_cast<int>(seed);
  skip_polysemous_training(inner);
  const std::uint64_t count = std::min(vectors.rows(), training_rows(inner));
  say("training", count);
  if (count == vectors.rows()) {
    index.train(static_cast<faiss::Index::idx_t>(count), vectors.row(0).data());
  } else {
    index.train(static_cast<faiss::Index::idx_t>(count), sample(vectors, count, seed).data());
  }
}

void add(faiss::Index& index, const NpyMatrix& vectors) {
  faiss::Index* const inner = innermost(&index);
  const bool takes_ids = dynamic_cast<faiss::IndexIDMap*>(&index) != nullptr;
  const bool at_once = dynamic_cast<faiss::IndexNSG*>(inner) || dynamic_cast<faiss::IndexNNDescent*>(inner);
  const std::uint64_t step = at_once ? vectors.rows() : kBlockRows;
  std::vector<faiss::Index::idx_t> ids;
  for (std::uint64_t begin = 0; begin < vectors.rows(); begin += step) {
    const std::uint64_t count = std::min(step, vectors.rows() - begin);
    if (takes_ids) {
      ids.resize(count);
      std::iota(ids.begin(), ids.end(), static_cast<faiss::Index::idx_t>(begin));
      index.add_with_ids(static_cast<faiss::Index::idx_t>(count), vectors.row(begin).data(), ids.data());
    } else {
      index.add(static_cast<faiss::Index::idx_t>(count), vectors.row(begin).data());
    }
    say("rows", begin + count);
  }
}

void write(const faiss::Index& index, const fs::path& out) {
  io::StagedFile file(out);
  const auto close = [](std::FILE* f) { std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> stream(::fdopen(::dup(file.fd()), "wb"), close);
  if (!stream) throw_errno("write", io::shown(out));
  faiss::write_index(&index, stream.get());
  if (std::fflush(stream.get()) != 0) throw_errno("write", io::shown(out));
  file.commit();
}

/// As in reef's own graphs; no factory string sets them, and FAISS begins with 40 and 16.
void set_widths(faiss::HNSW& graph) {
  graph.efConstruction = 200;
  graph.efSearch = 64;
}

NpyMatrix open_vectors(const BuildRequest& request) {
  NpyMatrix vectors(request.vectors, request.rows);
  if (vectors.rows() == 0) throw Error(Errc::usage, fmt::format("{}: no rows to index", io::shown(request.vectors)));
  return vectors;
}

}  // namespace

void build_float_graph(const BuildRequest& request) {
  constexpr int kM = 32;
  const NpyMatrix vectors = open_vectors(request);
  const int dim = static_cast<int>(vectors.dim());
  faiss::IndexHNSWSQ index(dim, faiss::ScalarQuantizer::QT_8bit, kM, faiss::METRIC_INNER_PRODUCT);
  {
    faiss::IndexHNSWFlat floats(dim, kM, faiss::METRIC_INNER_PRODUCT);
    set_widths(floats.hnsw);
    add(floats, vectors);
    index.hnsw = std::move(floats.hnsw);
  }
  // All rows, so that no value lies outside of its dimension's range and is cut.
  const auto count = static_cast<faiss::Index::idx_t>(vectors.rows());
  index.storage->train(count, vectors.row(0).data());
  index.storage->add(count, vectors.row(0).data());
  index.ntotal = count;
  index.is_trained = true;
  say("writing", vectors.rows());
  write(index, request.out);
}

void build(const BuildRequest& request) {
  const NpyMatrix vectors = open_vectors(request);
  const std::unique_ptr<faiss::Index> index = make_index(request.factory, vectors.dim());
  if (auto* graph = dynamic_cast<faiss::IndexHNSW*>(innermost(index.get()))) set_widths(graph->hnsw);
  train(*index, vectors, request.seed);
  add(*index, vectors);
  say("writing", vectors.rows());
  write(*index, request.out);
}

}  // namespace reef::libexec
