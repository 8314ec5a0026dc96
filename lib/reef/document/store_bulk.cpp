#include "reef/document/internal/rows.h"
#include "reef/document/store.h"

namespace reef::document {

std::vector<std::int64_t> Store::add_whole(std::span<const WholeDocument> documents) {
  internal::DocumentWriter document(database_);
  internal::ChunkWriter chunk(database_, map_);
  auto forget = database_.prepare("DELETE FROM removed_documents WHERE name = ?");
  std::vector<std::int64_t> ids;
  for (const WholeDocument& added : documents) {
    if (added.replaces) remove_document(*added.replaces);
    ids.push_back(document.insert(added.row));
    forget.bind(1, added.row.name).run();
    chunk.insert(std::nullopt, ids.back(), added.row.title, added.chunk);
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
  return internal::DocumentWriter(database_).insert(document);
}

void Store::copy_chunks(std::span<const CopiedChunk> chunks) {
  internal::ChunkWriter writer(database_, map_);
  for (const CopiedChunk& copied : chunks) writer.insert(copied.id, copied.document, copied.title, copied.added);
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
