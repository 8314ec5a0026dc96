#include "reef/document/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/core/time.h"
#include "reef/document/internal/rows.h"
#include "reef/document/internal/schema.h"
#include "reef/io/checksum.h"

namespace reef::document {
namespace {

constexpr const char* kDatabase = "metadata.sqlite";

/// A new metadata.sqlite beside vectors that exist would make them unreachable for ever.
void require_metadata(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / kDatabase, ignored)) return;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".")) continue;
    throw Error(Errc::corrupt, fmt::format("{} is gone, and {} is there", io::shown(folder / kDatabase), name),
                fmt::format("restore it from a backup; to begin again, remove what is in {} and ingest the files",
                            io::shown(folder)));
  }
}

/// The caller holds the store's lock, so that what a killed run left can go.
io::Database open_for_writing(const std::filesystem::path& folder) {
  io::remove_stale(folder);
  require_metadata(folder);
  const std::string first = std::string(vector::kStoreSchema) + internal::kDocumentSchema;
  const char* const migrations[] = {first.c_str(), internal::kRemovedDocuments, vector::kIndexSchema};
  return io::open_or_make(folder / kDatabase, migrations, io::temporary_name(folder / kDatabase));
}

DocumentRow read_counted(const io::Statement& row) {
  DocumentRow document = internal::read_document(row);
  document.chunks = row.integer(8);
  return document;
}

std::string counted_columns() {
  return fmt::format("{}, (SELECT count(*) FROM chunks WHERE chunks.document = documents.id)",
                     internal::kDocumentColumns);
}

}  // namespace

PassageHash passage_hash(std::string_view passage) {
  const auto digest = io::sha256(passage);
  PassageHash hash;
  std::copy_n(digest.begin(), hash.size(), hash.begin());
  return hash;
}

std::string chunk_id(const tree::Scope& scope, std::int64_t chunk) {
  return scope.is_shared() ? fmt::format("S{}", chunk) : fmt::format("P{}@{}", chunk, scope.persona_id());
}

ChunkId parse_chunk_id(std::string_view text) {
  const auto bad = [&]() -> Error {
    return Error(Errc::usage, fmt::format("'{}' is no id of a result", to_valid_utf8(text)),
                 "ids look like S12 (shared) or P12@alice, as 'reef-index query' prints them");
  };
  if (text.size() < 2 || (text[0] != 'S' && text[0] != 'P')) throw bad();
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error != std::errc{} || number <= 0) throw bad();
  if (text[0] == 'S' && rest.empty()) return {tree::Scope::shared(), number};
  if (text[0] == 'P' && rest.size() > 1 && rest[0] == '@')
    return {tree::Scope::persona(std::string(rest.substr(1))), number};
  throw bad();
}

Store::Store(const std::filesystem::path& folder, tree::Scope scope, std::chrono::milliseconds wait)
    : Store(folder, std::move(scope), io::LockFile(folder / ".lock", wait)) {}

Store::Store(const std::filesystem::path& folder, tree::Scope scope, io::LockFile lock)
    : folder_(folder),
      scope_(std::move(scope)),
      lock_(std::move(lock)),
      database_(open_for_writing(folder)),
      vectors_(folder, database_) {
  map_.load(database_);
  // A run that was killed after its last commit left the derived names behind it.
  vectors_.publish();
}

std::optional<DocumentRow> Store::find(const std::string& name) {
  auto statement =
      database_.prepare(fmt::format("SELECT {} FROM documents WHERE name = ? AND finished", counted_columns()));
  statement.bind(1, name);
  if (!statement.step()) return std::nullopt;
  return read_counted(statement);
}

std::vector<DocumentRow> Store::of_source(const std::string& source) {
  auto statement = database_.prepare(
      fmt::format("SELECT {} FROM documents WHERE source = ? AND finished ORDER BY id", counted_columns()));
  statement.bind(1, source);
  std::vector<DocumentRow> rows;
  while (statement.step()) rows.push_back(read_counted(statement));
  return rows;
}

bool Store::is_alone(const DocumentRow& document) {
  auto others = database_.prepare("SELECT 1 FROM documents WHERE source = ? AND finished AND id <> ? LIMIT 1");
  return !others.bind(1, document.source).bind(2, document.id).step();
}

std::int64_t Store::count_given(const std::string& source) {
  auto statement = database_.prepare(internal::kCountGiven);
  statement.bind(1, source).step();
  return statement.integer(0);
}

std::string Store::removed_sha256(const std::string& source, const std::string& name) {
  auto statement = database_.prepare("SELECT sha256 FROM removed_documents WHERE name = ? AND source = ?");
  statement.bind(1, name).bind(2, source);
  return statement.step() ? std::string(statement.text(0)) : "";
}

std::int64_t Store::begin_document(const DocumentRow& document) {
  auto statement = database_.prepare(
      "INSERT INTO documents (name, source, title, sha256, format, created, added, finished) VALUES "
      "(?,?,?,'',?,?,?,0)");
  statement.bind(1, document.name).bind(2, document.source).bind(3, document.title);
  statement.bind(4, document.format).bind(5, document.created).bind(6, document.added).run();
  return database_.last_insert_rowid();
}

void Store::add_chunks(std::int64_t document, std::string_view title, std::span<const NewChunk> chunks) {
  internal::ChunkWriter writer(database_, map_);
  for (const NewChunk& added : chunks) writer.insert(std::nullopt, document, title, added);
  map_.save(database_);
  changed_chunks_ += static_cast<std::int64_t>(chunks.size());
}

void Store::finish_document(std::int64_t document, const DocumentRow& final_row) {
  if (const auto old = find(final_row.name)) remove_document(old->id);
  auto update = database_.prepare("UPDATE documents SET title = ?, sha256 = ?, created = ?, finished = 1 WHERE id = ?");
  update.bind(1, final_row.title).bind(2, final_row.sha256).bind(3, final_row.created).bind(4, document).run();
  database_.prepare("DELETE FROM removed_documents WHERE name = ?").bind(1, final_row.name).run();
  auto tag = database_.prepare("INSERT OR IGNORE INTO document_tags (document, tag) VALUES (?, ?)");
  for (const std::string& name : final_row.tags) tag.bind(1, document).bind(2, name).run();
}

void Store::remove_document(std::int64_t document) {
  std::vector<std::uint64_t> dead;
  // FTS5 deletes a row of an external-content table only when told exactly what it indexed.
  auto chunks = database_.prepare(
      "SELECT c.id, d.title, c.heading_path, c.text, c.vector_row FROM chunks c JOIN documents d ON d.id = c.document "
      "WHERE c.document = ?");
  auto unindex = database_.prepare(
      "INSERT INTO chunks_fts (chunks_fts, rowid, title, heading_path, text) VALUES ('delete', ?, ?, ?, ?)");
  chunks.bind(1, document);
  while (chunks.step()) {
    unindex.bind(1, chunks.integer(0)).bind(2, chunks.text(1)).bind(3, chunks.text(2)).bind(4, chunks.text(3)).run();
    if (!chunks.is_null(4)) dead.push_back(static_cast<std::uint64_t>(chunks.integer(4)));
    map_.clear(chunks.integer(0));
    ++changed_chunks_;
  }
  map_.save(database_);
  vectors_.remove(dead);
  database_.prepare("DELETE FROM documents WHERE id = ?").bind(1, document).run();
}

void Store::remove_for_good(const DocumentRow& document) {
  remove_document(document.id);
  remember_removed(document.name, document.source, document.sha256);
}

void Store::forget_removed(const std::string& source, const std::unordered_set<std::string>* still_held) {
  auto statement = database_.prepare("SELECT name FROM removed_documents WHERE source = ?");
  statement.bind(1, source);
  std::vector<std::string> gone;
  while (statement.step())
    if (std::string name(statement.text(0)); !still_held || !still_held->contains(name))
      gone.push_back(std::move(name));
  auto forget = database_.prepare("DELETE FROM removed_documents WHERE name = ?");
  for (const std::string& name : gone) forget.bind(1, name).run();
}

std::int64_t Store::remove_unfinished() {
  auto statement = database_.prepare("SELECT id FROM documents WHERE NOT finished");
  std::vector<std::int64_t> ids;
  while (statement.step()) ids.push_back(statement.integer(0));
  for (const std::int64_t id : ids) {
    io::Transaction transaction(database_);
    remove_document(id);
    transaction.commit();
  }
  return static_cast<std::int64_t>(ids.size());
}

void Store::renumber(std::span<const std::uint64_t> kept) {
  // Ascending, so that the number that a row gets is free: it is at most its old one.
  auto move = database_.prepare("UPDATE chunks SET vector_row = ?1 WHERE vector_row = ?2");
  for (std::size_t row = 0; row < kept.size(); ++row)
    if (kept[row] != row)
      move.bind(1, static_cast<std::int64_t>(row)).bind(2, static_cast<std::int64_t>(kept[row])).run();
  map_.renumber(kept);
  map_.save(database_);
}

/// After the transaction that took another generation over.
void Store::settle(bool purged) {
  vectors_.publish();
  vectors_.remove_unnamed();
  if (purged) purge_words();
}

vector::Rebuilt Store::rebuild(const vector::RebuildOptions& options, Progress& progress) {
  vector::Rebuilt rebuilt = vector::rebuild(vectors_, options, progress);
  try {
    io::Transaction transaction(database_);
    if (rebuilt.removed > 0) renumber(rebuilt.kept);
    vectors_.adopt(rebuilt.state);
    transaction.commit();
  } catch (...) {
    // As the database has it again: whoever goes on with this store must not number rows twice.
    vectors_.reload();
    map_.load(database_);
    throw;
  }
  settle(rebuilt.removed > 0);
  return rebuilt;
}

vector::Rebuilt Store::take_over(std::span<const std::uint64_t> kept, const vector::RebuildOptions& options,
                                 Progress& progress) {
  const bool purged = !kept.empty() && kept.back() + 1 != kept.size();
  io::Transaction transaction(database_);
  if (purged) renumber(kept);
  database_.execute("DELETE FROM dead_rows");
  vectors_.commit();
  vector::Rebuilt rebuilt = vector::rebuild(vectors_, options, progress);
  vectors_.adopt(rebuilt.state);
  transaction.commit();
  settle(purged);
  return rebuilt;
}

bool Store::purge_words() {
  // What was removed leaves the full-text index with its segments, and the file with its log.
  database_.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('optimize')");
  return database_.checkpoint();
}

bool Store::rebuild_is_due() {
  auto dead = database_.prepare("SELECT count(*) FROM dead_rows");
  dead.step();
  return vector::rebuild_is_due(vectors_.state(), static_cast<std::uint64_t>(dead.integer(0)));
}

void Store::finish_run(bool append_only) {
  if (changed_chunks_ > 0) {
    // One merged segment answers in a third of the time of many small ones, and keeps no deleted
    // words; worth its cost only when much changed.
    const std::int64_t rows = map_.rows(false) + map_.rows(true);
    if (changed_chunks_ * 10 >= rows) database_.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('optimize')");
    database_.checkpoint();
  }
  vectors_.publish();
  write_id_mapping(append_only);
  changed_chunks_ = 0;
}

}  // namespace reef::document
