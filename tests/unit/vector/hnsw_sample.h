#pragma once

#include <cstddef>
#include <random>
#include <span>
#include <vector>

#include "reef/vector/hnsw_graph.h"
#include "reef/vector/npy.h"
#include "reef/vector/uniform_codes.h"
#include "sample.h"
#include "support/temp_dir.h"

namespace reef::test {

/// Unit vectors without any clusters, the hardest for a graph.
inline std::vector<float> random_rows(std::size_t rows, std::size_t dim, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(rows * dim);
  for (float& x : values) x = normal(generator);
  for (std::size_t i = 0; i < rows; ++i) normalise(std::span<float>(values).subspan(i * dim, dim));
  return values;
}

/// Rows, their codes, and the graph over them.
struct GraphSample {
  TempDir dir;
  vector::NpyMatrix vectors;
  vector::UniformCodes codes;
  vector::HnswGraph graph;

  GraphSample(const std::vector<float>& values, std::size_t dim, vector::HnswOptions options)
      : vectors(matrix(values, dim)),
        codes(vectors, 1),
        graph(vector::build_hnsw(codes, options, [](std::uint64_t) {})) {}

 private:
  vector::NpyMatrix matrix(const std::vector<float>& values, std::size_t dim) const {
    vector::write_npy(dir / "vectors.npy", values, dim);
    return vector::NpyMatrix(dir / "vectors.npy");
  }
};

}  // namespace reef::test
