#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "reef/document/embedding_cache.h"
#include "reef/document/ingest.h"
#include "reef/document/stores.h"

namespace reef::document::internal {

/// A document on its way into the store, maybe in several parts.
struct OpenDocument {
  DocumentRow row;
  std::int64_t id = 0;  ///< 0 until its first chunks were written
  bool replaces = false;
  bool with_vectors = true;
};

/// Collects chunks of many documents, embeds them together and writes them in one transaction: a
/// batch is what a killed run can lose.
class Batch {
 public:
  Batch(Stores& store, IngestReport& report, Progress& progress)
      : store_(store), report_(report), progress_(progress) {}

  /// Where vectors come from; needed before a document with vectors is added.
  void use(embed::Embedder& embedder, EmbeddingCache& cache, unsigned threads);

  /// `text_bytes` is what the chunks stand for on the progress bar.
  void add(std::shared_ptr<OpenDocument> document, std::vector<text::Chunk> chunks, bool last_part,
           std::uint64_t text_bytes);
  /// The file of a document that was added and is not in the store yet.
  std::optional<std::string> source_of(const std::string& name) const;
  /// Runs after everything added so far is durable.
  void then(std::function<void()> action) { after_.push_back(std::move(action)); }
  void flush_if_full();
  void flush();
  bool empty() const { return pieces_.empty() && after_.empty(); }
  /// Called once in each flush before any of the then() actions.
  void before_actions(std::function<void()> action) { before_actions_ = std::move(action); }

 private:
  struct Piece {
    std::shared_ptr<OpenDocument> document;
    std::vector<text::Chunk> chunks;
    bool last_part = false;
  };
  /// One unit vector for each chunk that gets one, in order.
  std::vector<float> embed();
  void write_all(std::span<const float> vectors);
  /// Pieces of one part of the scope, with their rows alone.
  void write(std::size_t part, const std::vector<const Piece*>& pieces, std::span<const float> rows);

  Stores& store_;
  IngestReport& report_;
  Progress& progress_;
  embed::Embedder* embedder_ = nullptr;
  EmbeddingCache* cache_ = nullptr;
  unsigned threads_ = 1;
  std::vector<Piece> pieces_;
  std::unordered_map<std::string, std::string> sources_;  ///< by document name, of pieces_
  std::vector<std::function<void()>> after_;
  std::function<void()> before_actions_;
  std::size_t chunks_ = 0;
  std::size_t embedded_chunks_ = 0;
  std::uint64_t text_bytes_ = 0;
};

}  // namespace reef::document::internal
