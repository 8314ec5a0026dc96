#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/tree/parts.h"
#include "reef/tree/tree.h"
#include "reef/vector/store.h"

namespace reef::document {

struct VerifyFault {
  std::string scope;
  std::string file;
  std::string what;
  std::string next_step;
  bool mends_itself = false;  ///< the next ingest or remove of that scope does
};

struct ScopeComparison {
  std::string scope;
  vector::FaissComparison index;
};

struct VerifyReport {
  std::vector<std::string> scopes;
  std::uint64_t documents = 0;
  std::uint64_t chunks = 0;
  std::uint64_t vectors = 0;
  bool with_faiss = false;
  std::vector<ScopeComparison> comparisons;  ///< of scopes that have an index
  std::vector<VerifyFault> faults;
};

/// Compares everything that belongs together: databases with themselves, full-text index with
/// texts, vectors and codes with the commit point, id_mapping.json, the registry with the stores,
/// originals with their digests. Reads everything, changes nothing, and works on a read-only tree. A scope without a
/// store is a fault only when something was ingested into it. One that a run is writing now is waited for (`wait`),
/// else Error{locked}. `with_faiss` has FAISS search the indexes as well; throws Error{not_found} without reef-faiss.
VerifyReport verify(const tree::Tree& tree, const std::vector<tree::Scope>& scopes, std::chrono::milliseconds wait,
                    Progress& progress, bool with_faiss = false);

struct ScopeStat {
  std::string scope;
  std::uint64_t parts = 0;      ///< that are in reach, of a scope that is split; all that follows is of them together
  std::int64_t generation = 0;  ///< the newest
  std::uint64_t files = 0;
  std::uint64_t failed = 0;  ///< files
  std::uint64_t documents = 0;
  std::uint64_t chunks = 0;
  std::uint64_t text_only = 0;
  std::uint64_t vectors = 0;
  std::uint64_t dead_rows = 0;
  vector::IndexKind index = vector::IndexKind::none;
  std::string factory;
  std::uint64_t indexed = 0;  ///< vectors that the index knows, removed ones included
  std::uint64_t tail = 0;     ///< rows behind those, which are scanned, removed ones included
  std::uint64_t index_bytes = 0;
  std::size_t dim = 0;
  std::string model;
  std::string model_digest;
  std::uint64_t bytes = 0;  ///< of the scope's folder
};

struct StatReport {
  std::string root;
  std::vector<ScopeStat> scopes;
  std::vector<tree::MissingStore> missing;  ///< on shards that are not mounted
};

/// Of those scopes that have a store.
StatReport stat(const tree::Tree& tree, const std::vector<tree::Scope>& scopes);

/// The scopes that there are: shared first, then personas by id, then those that only the registry knows.
std::vector<tree::Scope> scopes_of(const tree::Tree& tree, const std::vector<std::string>& personas);

std::string to_text(const VerifyReport& report);
std::string to_json(const VerifyReport& report);
std::string to_text(const StatReport& report);
std::string to_json(const StatReport& report);

}  // namespace reef::document
