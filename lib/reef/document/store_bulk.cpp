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

void Store::clear() {
  changed_chunks_ += map_.rows(false) + map_.rows(true);
  database_.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('delete-all')");
  for (const char* table : {"chunks", "document_tags", "documents", "removed_documents", "chunk_map", "dead_rows"})
    database_.execute(std::string("DELETE FROM ") + table);
  map_ = {};
}

}  // namespace reef::document
