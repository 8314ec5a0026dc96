#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "reef/core/progress.h"
#include "reef/document/internal/batch.h"
#include "reef/document/originals.h"
#include "reef/document/registry.h"
#include "reef/document/store.h"
#include "reef/embed/embedder.h"
#include "reef/text/extract.h"

namespace reef::document::internal {

/// What one file gave.
struct Extracted {
  std::vector<text::Fault> faults;
  bool unread = false;                    ///< some of the file's documents are not known
  bool contested = false;                 ///< some of its ids belong to another file
  std::unordered_set<std::string> names;  ///< of the documents that are its own
  std::set<std::string> former_owners;    ///< paths of sources that lost a document to this one
};

/// One original on its way into a batch: its documents are written to the processed store, those
/// that changed are cut into chunks and handed over.
class Extraction {
 public:
  /// `embedder` is null for text without vectors.
  Extraction(Stores& store, Registry& registry, Batch& batch, Progress& progress, const Source& source,
             const std::string& sha256, embed::Embedder* embedder)
      : store_(store),
        registry_(registry),
        batch_(batch),
        progress_(progress),
        source_(source),
        sha256_(sha256),
        embedder_(embedder) {}

  /// Throws InputError when nothing can be made of the file.
  Extracted run(const Originals& originals, text::ExtractOptions options);

 private:
  class Digest;
  struct Current;

  std::string name_of(const text::Document& document) const;
  void take(text::Document& document);
  /// False when the document is left out: a second one of its name, or another file's.
  bool begin(const text::Document& document);
  std::vector<text::Chunk> chunks_of(const text::Document& document) const;

  Stores& store_;
  Registry& registry_;
  Batch& batch_;
  Progress& progress_;
  const Source& source_;
  const std::string& sha256_;
  embed::Embedder* embedder_;
  Extracted result_;
  std::shared_ptr<Current> current_;  ///< the document whose parts are arriving
};

}  // namespace reef::document::internal
