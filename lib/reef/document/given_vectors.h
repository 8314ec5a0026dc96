#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "reef/core/progress.h"
#include "reef/embed/embedder.h"
#include "reef/tree/tree.h"
#include "reef/vector/store.h"

namespace reef::document {

/// Embeddings that were made elsewhere, and the texts that they are of.
struct GivenOptions {
  std::filesystem::path vectors;   ///< .npy: float32 or float16 (or float64), n x dim
  std::filesystem::path metadata;  ///< JSON Lines: {"id","text"[,"title"][,"tags"][,"created"]}, one for each row
  std::string embedding;           ///< name of the model that made them; empty: see below
  tree::Scope scope = tree::Scope::shared();
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};
};

struct GivenReport {
  std::string scope;
  std::string vectors;  ///< the file
  bool replaced_all = false;
  std::string model;
  std::size_t dim = 0;
  std::uint64_t rows = 0;                                             ///< of the file
  std::uint64_t added = 0, replaced = 0, unchanged = 0, removed = 0;  ///< documents
  std::uint64_t stretched = 0;                                        ///< rows that were brought to unit length
  std::uint64_t undated = 0;                                          ///< documents whose date could not be read
  bool rebuilt = false;                                               ///< the graph
  std::int64_t generation = 0;
  std::optional<vector::RecallSample> recall;
  double seconds = 0;
  bool changed() const { return added + replaced + removed > 0; }
};

/// The embedder of that name as this tree has it ("": the default one); nullopt when it is not installed.
using FindEmbedding = std::function<std::optional<embed::Identity>(const std::string& name)>;

/// Adds each row as a document of one chunk, in one transaction: all or nothing. A document of that id is left as it is
/// when text and vector are the same, else replaced. The rows go to the tail of the store; its graph is built anew when
/// that has grown long (vector::rebuild_is_due).
///
/// The vectors must be of the store's model; `embedding` names it for a store that has none (default: the tree's model,
/// when it makes vectors of that many dimensions). Throws Error{usage} naming both dimensions or models where they
/// differ, Error{failed} naming both files and counts, or the line, Error{corrupt} naming the row that is no direction,
/// Error{failed} for an id of a document that was ingested.
GivenReport add_vectors(const tree::Tree& tree, const GivenOptions& options, const FindEmbedding& find_embedding,
                        Progress& progress);

/// Puts the rows in the place of all that the scope holds, graph included, in one transaction: queries see the old
/// content or the new, and so does whoever comes after a run that was killed. Nothing is done when the scope holds just
/// these. Throws as add_vectors() does, and Error{usage} when documents were ingested into the scope.
GivenReport build_from_vectors(const tree::Tree& tree, const GivenOptions& options, const FindEmbedding& find_embedding,
                               Progress& progress);

std::string to_text(const GivenReport& report);
std::string to_json(const GivenReport& report);

}  // namespace reef::document
