#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>
#include <vector>

#include "reef/vector/hnsw_file.h"
#include "reef/vector/hnsw_search.h"
#include "reef/vector/npy.h"

namespace reef::peers {

/// An index over clustered pseudo-random unit rows, and what our search of it finds: what FAISS is compared with.
struct IndexSample {
  static constexpr std::size_t kQueries = 200, kEf = 64, kResults = 10;

  vector::NpyMatrix vectors, queries;
  std::vector<std::vector<vector::Hit>> hits;  ///< per query, scored by codes, not ranked anew

  /// Writes index.bin, vectors.npy and queries.npy to `folder`.
  IndexSample(const std::filesystem::path& folder, std::size_t rows, std::size_t dim, unsigned threads) {
    std::mt19937 generator(static_cast<unsigned>(dim));
    const std::vector<float> centres = noise(60, dim, generator);
    vectors = write(folder / "vectors.npy", rows, dim, centres, generator);
    queries = write(folder / "queries.npy", kQueries, dim, centres, generator);
    const vector::UniformCodes codes(vectors, threads);
    const vector::HnswOptions options{.ef_construction = 200, .threads = threads};
    write_hnsw_file(folder / "index.bin", codes, build_hnsw(codes, options, [](std::uint64_t) {}));
    const vector::HnswFile file(folder / "index.bin");
    vector::HnswSearch search(file);
    for (std::size_t q = 0; q < kQueries; ++q) {
      hits.push_back(search.search(queries.row(q), kEf));
      hits.back().resize(std::min(hits.back().size(), kResults));
    }
  }

 private:
  static std::vector<float> noise(std::size_t rows, std::size_t dim, std::mt19937& generator) {
    std::normal_distribution<float> normal;
    std::vector<float> values(rows * dim);
    for (float& x : values) x = normal(generator);
    return values;
  }

  static vector::NpyMatrix write(const std::filesystem::path& path, std::size_t rows, std::size_t dim,
                                 const std::vector<float>& centres, std::mt19937& generator) {
    std::vector<float> values = noise(rows, dim, generator);
    for (std::size_t i = 0; i < rows; ++i) {
      const float* const centre = centres.data() + generator() % (centres.size() / dim) * dim;
      float* const row = values.data() + i * dim;
      double sum = 0;
      for (std::size_t j = 0; j < dim; ++j) {
        row[j] = centre[j] + .7F * row[j];
        sum += static_cast<double>(row[j]) * static_cast<double>(row[j]);
      }
      for (std::size_t j = 0; j < dim; ++j) row[j] = static_cast<float>(row[j] / std::sqrt(sum));
    }
    vector::write_npy(path, values, dim);
    return vector::NpyMatrix(path);
  }
};

}  // namespace reef::peers
