#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "reef/core/progress.h"
#include "reef/tree/tree.h"
#include "reef/vector/store.h"

namespace reef::document {

struct BuildOptions {
  tree::Scope scope = tree::Scope::shared();
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};
  std::string factory;           ///< of FAISS's index_factory; empty: a graph of reef's
  std::optional<double> recall;  ///< that is asked for; default as in vector::RebuildOptions
};

struct BuildReport {
  std::string scope;
  std::int64_t generation = 0;  ///< of several parts the newest
  vector::IndexKind index = vector::IndexKind::none;
  std::string factory;
  std::uint64_t rows = 0;                      ///< in the index
  std::uint64_t removed = 0;                   ///< rows that were purged
  bool words_purged = true;                    ///< Store::purge_words()
  std::uint64_t bytes = 0;                     ///< of index.bin
  std::optional<vector::RecallSample> recall;  ///< of several parts the lowest
  double asked_recall = 0;
  std::string codes_lose;  ///< vector::Rebuilt::codes_lose
  double seconds = 0;

  bool reaches_recall() const { return !recall || recall->graph >= asked_recall; }
};

/// Rebuilds a scope's index over all of its vectors, without those that were removed. Queries go on with the old
/// generation until the new one is whole. Throws Error{not_found} when the scope has no store, Error{locked} when
/// another run writes it, and what vector::rebuild() throws; the old index then stays.
BuildReport build(const tree::Tree& tree, const BuildOptions& options, Progress& progress);

std::string to_text(const BuildReport& report);
std::string to_json(const BuildReport& report);

}  // namespace reef::document
