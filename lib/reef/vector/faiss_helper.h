#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/io/child.h"
#include "reef/vector/scan.h"

namespace reef::vector {

/// Whether libexec/reef/reef-faiss was built; all below throw Error{not_found} where it was not.
bool faiss_available();
/// Throws that error.
void require_faiss();

/// Builds the index that FAISS's index_factory makes of `factory` over the first `rows` rows of a .npy file of unit
/// rows, through reef-faiss. `out` appears whole or not at all; a killed build leaves what io::remove_stale() finds.
/// `threads` 0: as many as there are CPUs. FAISS's graphs differ from run to run unless it is 1.
///
/// Throws Error{usage} for a factory that FAISS does not know or does not make over this dimension, Error{failed} when
/// FAISS gives up or is killed, Error{interrupted} on a signal, and what the vectors' file deserves.
void build_faiss_index(const std::string& factory, const std::filesystem::path& vectors, std::uint64_t rows,
                       const std::filesystem::path& out, unsigned threads, Progress& progress);

/// Builds a graph over the floats of those rows that keeps 8-bit codes with a minimum and a step for each dimension,
/// where UniformCodes have one step for all. Read by HnswFile. Otherwise as above.
void build_float_graph(const std::filesystem::path& vectors, std::uint64_t rows, const std::filesystem::path& out,
                       unsigned threads, Progress& progress);

/// How thoroughly to search; 0: as the index says, but at least 64 candidates, 8 lists and a sixteenth of the lists.
struct FaissEffort {
  unsigned ef = 0;      ///< candidates, where there is a graph
  unsigned nprobe = 0;  ///< lists, where there are lists
};

/// Asks an index through a child that opens it at the first question and keeps it open. One thread at a time, not
/// necessarily the same.
class FaissSearch {
 public:
  /// Opens nothing yet. `dim` is what the store's vectors have.
  FaissSearch(std::filesystem::path index, std::size_t dim, const FaissEffort& effort = {});

  /// The `k` rows that FAISS finds nearest, best first, ties by lower row; fewer when it finds fewer. Scores are inner
  /// products as precise as the index keeps vectors (LSH: an order, no more): to be computed anew before they are
  /// shown. Throws Error{corrupt} for an index that is damaged, of another dimension, or that crashes FAISS,
  /// Error{failed} when the child was killed, Error{not_found} without the file; the next call starts a new child.
  std::vector<Hit> search(std::span<const float> query, std::size_t k);

  /// What the index counts. Opens it.
  std::uint64_t rows();

 private:
  void open(std::size_t k);
  std::vector<Hit> ask(std::span<const float> query, std::size_t k);
  [[noreturn]] void fail_short();

  std::filesystem::path index_;
  std::size_t dim_;
  FaissEffort effort_;
  std::unique_ptr<io::Child> child_;
  std::size_t child_k_ = 0;  ///< rows in each of its answers
  std::uint64_t rows_ = 0;
};

}  // namespace reef::vector
