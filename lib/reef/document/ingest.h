#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/embed/default_embedder.h"
#include "reef/text/extract.h"
#include "reef/tree/tree.h"

namespace reef::document {

struct IngestOptions {
  std::vector<std::string> paths;  ///< files, folders, "-"
  tree::Scope scope = tree::Scope::shared();
  bool text_only = false;
  bool prune = false;
  bool force = false;  ///< prune below folders that hold no file any more
  bool dry_run = false;
  std::vector<std::string> tags;
  std::chrono::milliseconds wait{0};
  unsigned threads = 1;
  text::ExtractOptions extract;
  std::uint64_t cache_cap_bytes = 2ull << 30;
};

/// Something of the input that could not be used, and why.
struct IngestFault {
  std::string path;
  std::uint64_t line = 0;  ///< 0: the whole file
  std::string reason;
  std::string hint;
};

struct IngestReport {
  std::string scope;
  bool dry_run = false;
  std::uint64_t files = 0;      ///< looked at
  std::uint64_t unchanged = 0;  ///< files
  std::uint64_t added = 0;      ///< documents
  std::uint64_t replaced = 0;
  std::uint64_t removed = 0;
  std::uint64_t chunks = 0;                       ///< new ones
  std::uint64_t embedded = 0;                     ///< of them computed; the rest came from the cache
  std::vector<std::string> add, replace, remove;  ///< files of a dry run's plan
  bool rebuilt = false;                           ///< the graph, because much had changed
  double embed_seconds = 0;
  double seconds = 0;
  std::vector<IngestFault> faults;
  bool changed() const { return added + replaced + removed > 0; }
};

/// Takes files into a scope: unchanged ones are skipped, changed ones replaced, whatever a killed
/// run left is finished first. `make_embedder` is called when the first chunk needs a vector: for
/// the model of the vectors that the scope holds, the default one where it holds none.
/// Throws Error{locked} when another run writes this scope, Error{interrupted} on a signal; what is
/// committed until then stays, and the next run goes on from there.
IngestReport ingest(const tree::Tree& tree, const IngestOptions& options, const embed::EmbedderMaker& make_embedder,
                    Progress& progress);

struct RemoveOptions {
  tree::Scope scope = tree::Scope::shared();
  std::vector<std::string> documents;  ///< ids of documents, or paths of their files
  bool dry_run = false;
  std::chrono::milliseconds wait{0};
  unsigned threads = 1;  ///< of a rebuild, where one is due
};

struct RemoveReport {
  std::string scope;
  bool dry_run = false;
  bool rebuilt = false;                ///< because many vectors were removed ones
  std::vector<std::string> removed;    ///< document ids
  std::vector<std::string> not_found;  ///< as named
};

RemoveReport remove(const tree::Tree& tree, const RemoveOptions& options, Progress& progress = no_progress());

std::string to_text(const IngestReport& report);
std::string to_json(const IngestReport& report);
std::string to_text(const RemoveReport& report);
std::string to_json(const RemoveReport& report);

}  // namespace reef::document
