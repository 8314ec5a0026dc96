#include "reef/document/internal/schema.h"
#include "reef/document/store.h"

namespace reef::document {

std::vector<std::int64_t> Store::add_whole(std::span<const WholeDocument> documents) {
  auto insert = database_.prepare(
      "INSERT INTO documents (name, source, title, sha256, format, created, added, finished) VALUES "
      "(?,?,?,?,?,?,?,1)");
  auto forget = database_.prepare("DELETE FROM removed_documents WHERE name = ?");
  auto tag = database_.prepare("INSERT OR IGNORE INTO document_tags (document, tag) VALUES (?, ?)");
  auto insert_chunk = database_.prepare(
      "INSERT INTO chunks (document, text, heading_path, page, start_byte, end_byte, vector_row) VALUES "
      "(?,?,'',0,0,?,?)");
  auto index = database_.prepare("INSERT INTO chunks_fts (rowid, title, heading_path, text) VALUES (?,?,'',?)");
  auto words = database_.prepare("SELECT sz FROM chunks_fts_docsize WHERE id = ?");
  std::vector<std::int64_t> ids;
  for (const WholeDocument& added : documents) {
    if (added.replaces) remove_document(*added.replaces);
    insert.bind(1, added.row.name).bind(2, added.row.source).bind(3, added.row.title).bind(4, added.row.sha256);
    insert.bind(5, added.row.format).bind(6, added.row.created).bind(7, added.row.added).run();
    ids.push_back(database_.last_insert_rowid());
    forget.bind(1, added.row.name).run();
    for (const std::string& name : added.row.tags) tag.bind(1, ids.back()).bind(2, name).run();
    insert_chunk.bind(1, ids.back()).bind(2, added.text).bind(3, static_cast<std::int64_t>(added.text.size()));
    insert_chunk.bind(4, static_cast<std::int64_t>(added.vector_row)).run();
    const std::int64_t chunk = database_.last_insert_rowid();
    index.bind(1, chunk).bind(2, added.row.title).bind(3, added.text).run();
    words.bind(1, chunk);
    map_.set(chunk, words.step() ? internal::sum_of_varints(words.blob(0)) : 0, added.vector_row);
    words.reset();
  }
  map_.save(database_);
  changed_chunks_ += static_cast<std::int64_t>(documents.size());
  return ids;
}

std::int64_t Store::last_chunk() {
  auto statement = database_.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'");
  return statement.step() ? statement.integer(0) : 0;
}

void Store::number_chunks_after(std::int64_t id) {
  const std::int64_t last = last_chunk();
  if (last >= id) return;
  // No row before the first chunk, and then no index that would keep a second one out.
  database_.execute("DELETE FROM sqlite_sequence WHERE name = 'chunks'");
  database_.prepare("INSERT INTO sqlite_sequence (name, seq) VALUES ('chunks', ?)").bind(1, id).run();
}

std::int64_t Store::copy_document(const DocumentRow& document) {
  auto insert = database_.prepare(
      "INSERT INTO documents (name, source, title, sha256, format, created, added, finished) VALUES "
      "(?,?,?,?,?,?,?,1)");
  insert.bind(1, document.name).bind(2, document.source).bind(3, document.title).bind(4, document.sha256);
  insert.bind(5, document.format).bind(6, document.created).bind(7, document.added).run();
  const std::int64_t id = database_.last_insert_rowid();
  auto tag = database_.prepare("INSERT OR IGNORE INTO document_tags (document, tag) VALUES (?, ?)");
  for (const std::string& name : document.tags) tag.bind(1, id).bind(2, name).run();
  return id;
}

void Store::copy_chunks(std::span<const CopiedChunk> chunks) {
  auto insert = database_.prepare(
      "INSERT INTO chunks (id, document, text, heading_path, page, start_byte, end_byte, vector_row) VALUES "
      "(?,?,?,?,?,?,?,?)");
  auto index = database_.prepare("INSERT INTO chunks_fts (rowid, title, heading_path, text) VALUES (?,?,?,?)");
  auto words = database_.prepare("SELECT sz FROM chunks_fts_docsize WHERE id = ?");
  for (const CopiedChunk& copied : chunks) {
    const text::Chunk& chunk = copied.added.chunk;
    insert.bind(1, copied.id).bind(2, copied.document).bind(3, chunk.text).bind(4, chunk.heading_path);
    insert.bind(5, static_cast<std::int64_t>(chunk.page)).bind(6, static_cast<std::int64_t>(chunk.start));
    insert.bind(7, static_cast<std::int64_t>(chunk.end));
    if (copied.added.vector_row)
      insert.bind(8, static_cast<std::int64_t>(*copied.added.vector_row));
    else
      insert.bind_null(8);
    insert.run();
    index.bind(1, copied.id).bind(2, copied.title).bind(3, chunk.heading_path).bind(4, chunk.text).run();
    words.bind(1, copied.id);
    map_.set(copied.id, words.step() ? internal::sum_of_varints(words.blob(0)) : 0, copied.added.vector_row);
    words.reset();
  }
  map_.save(database_);
  changed_chunks_ += static_cast<std::int64_t>(chunks.size());
}

void Store::remember_removed(const std::string& name, const std::string& source, const std::string& sha256) {
  auto statement = database_.prepare("INSERT OR REPLACE INTO removed_documents (name, source, sha256) VALUES (?,?,?)");
  statement.bind(1, name).bind(2, source).bind(3, sha256).run();
}

void Store::clear() {
  changed_chunks_ += map_.rows(false) + map_.rows(true);
  database_.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('delete-all')");
  for (const char* table : {"chunks", "document_tags", "documents", "removed_documents", "chunk_map", "dead_rows"})
    database_.execute(std::string("DELETE FROM ") + table);
  map_ = {};
}

}  // namespace reef::document
