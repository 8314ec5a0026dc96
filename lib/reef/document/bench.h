#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/tree/tree.h"

namespace reef::document {

struct BenchOptions {
  tree::Scope scope = tree::Scope::shared();
  std::size_t questions = 200;
  double recall = .95;  ///< that the width asked for must reach
};

/// One way of searching, over all questions, on one thread.
struct BenchRow {
  const char* search = "scan";  ///< or "graph", or "factory": FAISS's index as it is set
  std::size_t ef = 0;           ///< width of the graph's search
  double recall = 0;            ///< share of the 10 nearest that are found
  double p50_ms = 0;
  double p99_ms = 0;
  double questions_per_second = 0;
};

struct BenchReport {
  std::string scope;
  std::uint64_t rows = 0;
  std::size_t dim = 0;
  std::size_t questions = 0;
  std::vector<BenchRow> widths;
  double recall = 0;              ///< as asked for
  std::optional<std::size_t> ef;  ///< the least width of the graph's search that reaches it
};

/// Searches a store for neighbours of a sample of its own vectors, each left out of its own answer, and compares with
/// exact search. Throws Error{not_found} when the scope holds no vectors.
BenchReport bench(const tree::Tree& tree, const BenchOptions& options, Progress& progress);

std::string to_text(const BenchReport& report);
std::string to_json(const BenchReport& report);

}  // namespace reef::document
