#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "reef/document/chunk_map.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/text/chunk.h"
#include "reef/text/full_text.h"
#include "reef/tree/tree.h"
#include "reef/vector/store.h"

namespace reef::document {

/// Names a passage in the embedding cache: the first 16 bytes of the SHA-256 of what is embedded.
using PassageHash = std::array<std::uint8_t, 16>;
PassageHash passage_hash(std::string_view passage);

/// A document of one scope, as metadata.sqlite holds it.
struct DocumentRow {
  std::int64_t id = 0;
  std::string name;    ///< id of its JSONL line, else the file's path; unique within the scope
  std::string source;  ///< path of its file
  std::string title;
  std::string sha256;  ///< of title, tags and extracted text: tells a changed document
  std::string format;
  std::string created;  ///< RFC 3339 or empty
  std::string added;
  std::vector<std::string> tags;
  std::int64_t chunks = 0;
};

/// A chunk with what a citation needs.
struct ChunkRow {
  std::int64_t id = 0;
  std::int64_t document = 0;
  std::string name;
  std::string source;
  std::string title;
  std::string text;
  std::string heading_path;
  std::uint32_t page = 0;
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::optional<std::uint64_t> vector_row;
  std::string created;
};

struct NewChunk {
  text::Chunk chunk;
  std::optional<std::uint64_t> vector_row;
};

/// A chunk of another store, which keeps its id.
struct CopiedChunk {
  std::int64_t id = 0;
  std::int64_t document = 0;  ///< that copy_document() gave
  std::string title;          ///< of it
  NewChunk added;
};

/// A document of one chunk, which is the whole of its text.
struct WholeDocument {
  DocumentRow row;  ///< id and chunks are not read
  NewChunk chunk;
  std::optional<std::int64_t> replaces;  ///< the document in whose place it comes
};

/// "S12" for a chunk of the shared scope, "P12@alice" for one of a persona.
std::string chunk_id(const tree::Scope& scope, std::int64_t chunk);
struct ChunkId {
  tree::Scope scope;
  std::int64_t chunk;
};
/// Throws Error{usage} for anything else.
ChunkId parse_chunk_id(std::string_view text);

/// The writing side of a scope's store: one process at a time, held by its lock.
///
/// Documents come in three steps, so that readers see all of a document or nothing of it, however
/// long it is: begin_document() (invisible), add_chunks() as often as needed, finish_document(),
/// which puts it in the place of the document of that name. The caller brackets calls that belong
/// together in one transaction; vectors are appended before it (vector::StoreWriter).
class Store {
 public:
  static constexpr int kVersion = 3;

  /// Makes the store when it is absent. Throws Error{locked} when another run holds it, Error{corrupt} when files of
  /// a store are there without their metadata.sqlite.
  Store(const std::filesystem::path& folder, tree::Scope scope, std::chrono::milliseconds wait);
  /// The same for who holds its lock already.
  Store(const std::filesystem::path& folder, tree::Scope scope, io::LockFile lock);

  const tree::Scope& scope() const { return scope_; }
  const std::filesystem::path& folder() const { return folder_; }
  io::Database& database() { return database_; }
  vector::StoreWriter& vectors() { return vectors_; }

  std::optional<DocumentRow> find(const std::string& name);
  std::vector<DocumentRow> of_source(const std::string& source);
  /// Whether no other document of its source is here.
  bool is_alone(const DocumentRow& document);
  /// Documents of the source that are here, and those that were removed out of it.
  std::int64_t count_given(const std::string& source);
  /// Digest of a document that was removed out of this source and is to stay away; "" otherwise.
  std::string removed_sha256(const std::string& source, const std::string& name);

  std::int64_t begin_document(const DocumentRow& document);
  void add_chunks(std::int64_t document, std::string_view title, std::span<const NewChunk> chunks);
  void finish_document(std::int64_t document, const DocumentRow& final_row);
  /// All three steps at once for many documents. Returns their ids.
  std::vector<std::int64_t> add_whole(std::span<const WholeDocument> documents);
  void remove_document(std::int64_t document);
  /// The largest id that a chunk ever had here, and a lower bound of those that come: a store that is one part of a
  /// scope leaves out what the others gave.
  std::int64_t last_chunk();
  void number_chunks_after(std::int64_t id);
  /// A finished document of another store, whose chunks follow. Returns its id.
  std::int64_t copy_document(const DocumentRow& document);
  /// Ids and rows grow together.
  void copy_chunks(std::span<const CopiedChunk> chunks);
  void remember_removed(const std::string& name, const std::string& source, const std::string& sha256);
  /// Removes all documents, and what is remembered of removed ones; in the transaction that also takes over vectors of
  /// the next generation (vector::StoreWriter::begin_again()).
  void clear();
  /// Removes a document and remembers it: its file holds others and will be taken in again.
  void remove_for_good(const DocumentRow& document);
  /// Forgets what was removed out of a source, but for the names that it still holds.
  void forget_removed(const std::string& source, const std::unordered_set<std::string>* still_held = nullptr);
  /// Removes what a killed run began and never finished. Returns how many.
  std::int64_t remove_unfinished();

  /// Writes vectors, codes and graph anew without removed rows, then takes them over in one transaction. Readers go on
  /// with the old generation. Throws what vector::rebuild() throws; the store is then as it was.
  vector::Rebuilt rebuild(const vector::RebuildOptions& options, Progress& progress);
  /// Takes over all rows that were appended since vectors().begin_again(), row i in the place of the old row kept[i]
  /// (ascending, one for each chunk that has a vector), and their graph; in one transaction. Throws as rebuild() does.
  vector::Rebuilt take_over(std::span<const std::uint64_t> kept, const vector::RebuildOptions& options,
                            Progress& progress);
  /// Takes the words of removed chunks out of the database file. False when some stay, because a reader still sees
  /// them.
  bool purge_words();
  /// When a rebuild is due (vector::rebuild_is_due).
  bool rebuild_is_due();

  /// After the last transaction of a run: merges the full-text index when much changed, publishes
  /// the plain names and id_mapping.json. The mapping of a large store costs more than a thousand
  /// new rows: with `append_only` it may end before the newest (internal::may_stay()).
  void finish_run(bool append_only = false);

 private:
  void renumber(std::span<const std::uint64_t> kept);
  void settle(bool purged);
  void write_id_mapping(bool append_only);

  std::filesystem::path folder_;
  tree::Scope scope_;
  io::LockFile lock_;
  io::Database database_;
  vector::StoreWriter vectors_;
  ChunkMap map_;
  std::int64_t changed_chunks_ = 0;
};

/// The reading side: one snapshot of the store, whatever a writer does meanwhile.
class Snapshot {
 public:
  static bool exists(const std::filesystem::path& folder);
  Snapshot(const std::filesystem::path& folder, tree::Scope scope);

  const tree::Scope& scope() const { return scope_; }
  io::Database& database() { return database_; }
  vector::StoreReader& vectors() { return vectors_; }
  const vector::StoreReader& vectors() const { return vectors_; }
  const ChunkMap& map() const { return map_; }

  std::vector<text::Postings> postings(std::span<const std::string> terms) { return finder_.find(terms); }
  /// nullopt when there is no such chunk, or its document is not finished.
  std::optional<ChunkRow> chunk(std::int64_t id);
  /// Chunks of documents with one of the tags, created in [since, until), and named.
  struct Filter {
    std::vector<std::string> tags;
    std::string since;  ///< RFC 3339, empty: open
    std::string until;
    std::vector<std::string> documents;  ///< by id or path of their file, as remove() takes them
    bool empty() const { return tags.empty() && since.empty() && until.empty() && documents.empty(); }
  };
  struct Allowed {
    std::vector<std::int64_t> chunks;        ///< ascending
    std::vector<std::uint64_t> vector_rows;  ///< ascending
  };
  Allowed allowed(const Filter& filter);
  /// Whether a document has this id, or comes from the file of this path.
  bool holds_document(const std::string& name);
  std::int64_t documents();

 private:
  std::filesystem::path folder_;
  tree::Scope scope_;
  io::Database database_;
  io::Transaction transaction_;
  vector::StoreReader vectors_;
  ChunkMap map_;
  text::PostingsFinder finder_;
  io::Statement chunk_;
};

}  // namespace reef::document
