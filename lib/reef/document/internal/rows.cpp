#include "reef/document/internal/rows.h"

#include "reef/document/internal/schema.h"

namespace reef::document::internal {

DocumentRow read_document(const io::Statement& row) {
  DocumentRow document;
  document.id = row.integer(0);
  document.name = row.text(1);
  document.source = row.text(2);
  document.title = row.text(3);
  document.sha256 = row.text(4);
  document.format = row.text(5);
  document.created = row.text(6);
  document.added = row.text(7);
  return document;
}

DocumentWriter::DocumentWriter(io::Database& database)
    : database_(database),
      insert_(database.prepare(
          "INSERT INTO documents (name, source, title, sha256, format, created, added, finished) VALUES "
          "(?,?,?,?,?,?,?,1)")),
      tag_(database.prepare("INSERT OR IGNORE INTO document_tags (document, tag) VALUES (?, ?)")) {}

std::int64_t DocumentWriter::insert(const DocumentRow& document) {
  insert_.bind(1, document.name).bind(2, document.source).bind(3, document.title).bind(4, document.sha256);
  insert_.bind(5, document.format).bind(6, document.created).bind(7, document.added).run();
  const std::int64_t id = database_.last_insert_rowid();
  for (const std::string& name : document.tags) tag_.bind(1, id).bind(2, name).run();
  return id;
}

ChunkWriter::ChunkWriter(io::Database& database, ChunkMap& map)
    : database_(database),
      map_(map),
      insert_(database.prepare(
          "INSERT INTO chunks (id, document, text, heading_path, page, start_byte, end_byte, vector_row) VALUES "
          "(?,?,?,?,?,?,?,?)")),
      index_(database.prepare("INSERT INTO chunks_fts (rowid, title, heading_path, text) VALUES (?,?,?,?)")),
      words_(database.prepare("SELECT sz FROM chunks_fts_docsize WHERE id = ?")) {}

std::int64_t ChunkWriter::insert(std::optional<std::int64_t> id, std::int64_t document, std::string_view title,
                                 const NewChunk& added) {
  const auto bind_optional = [&](int column, std::optional<std::int64_t> value) {
    if (value)
      insert_.bind(column, *value);
    else
      insert_.bind_null(column);
  };
  const text::Chunk& chunk = added.chunk;
  bind_optional(1, id);
  insert_.bind(2, document).bind(3, chunk.text).bind(4, chunk.heading_path);
  insert_.bind(5, static_cast<std::int64_t>(chunk.page)).bind(6, static_cast<std::int64_t>(chunk.start));
  insert_.bind(7, static_cast<std::int64_t>(chunk.end));
  bind_optional(8, added.vector_row);
  insert_.run();
  const std::int64_t given = database_.last_insert_rowid();
  index_.bind(1, given).bind(2, title).bind(3, chunk.heading_path).bind(4, chunk.text).run();
  const bool counted = words_.bind(1, given).step();
  map_.set(given, counted ? text::words_in_row(words_.blob(0)) : 0, added.vector_row);
  words_.reset();
  return given;
}

}  // namespace reef::document::internal
