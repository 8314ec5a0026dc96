#pragma once

namespace reef::document::internal {

/// Tables of a scope's metadata.sqlite beside those of vector::kStoreSchema.
/// chunks.id grows for ever (AUTOINCREMENT): an id that was cited never names another text.
inline constexpr const char* kDocumentSchema = R"sql(
CREATE TABLE documents (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  source TEXT NOT NULL,
  title TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  raw_sha256 TEXT NOT NULL,
  format TEXT NOT NULL,
  created TEXT NOT NULL,
  added TEXT NOT NULL,
  finished INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX documents_name ON documents(name) WHERE finished;
CREATE INDEX documents_source ON documents(source);
CREATE TABLE document_tags (
  tag TEXT NOT NULL,
  document INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  PRIMARY KEY (tag, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_tags_document ON document_tags(document);
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  text TEXT NOT NULL,
  heading_path TEXT NOT NULL,
  page INTEGER NOT NULL,
  start_byte INTEGER NOT NULL,
  end_byte INTEGER NOT NULL,
  vector_row INTEGER UNIQUE
) STRICT;
CREATE INDEX chunks_document ON chunks(document);
CREATE VIEW chunk_texts AS
  SELECT c.id AS id, d.title AS title, c.heading_path AS heading_path, c.text AS text
  FROM chunks c JOIN documents d ON d.id = c.document;
CREATE VIRTUAL TABLE chunks_fts USING fts5(
  title, heading_path, text, content = 'chunk_texts', content_rowid = 'id', tokenize = 'porter unicode61');
CREATE TABLE chunk_map (page INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
)sql";

/// Version 2. removed_documents: what was removed out of a file that holds more, so that taking the file
/// in again does not bring it back; in this database, because one transaction must do both.
inline constexpr const char* kRemovedDocuments = R"sql(
CREATE TABLE removed_documents (
  name TEXT PRIMARY KEY,
  source TEXT NOT NULL,
  sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX removed_documents_source ON removed_documents(source);
ALTER TABLE documents DROP COLUMN raw_sha256;
)sql";

/// Of a source (?1): documents that are here, and those that were removed out of it.
inline constexpr const char* kCountGiven =
    "SELECT (SELECT count(*) FROM documents WHERE source = ?1 AND finished) + "
    "(SELECT count(*) FROM removed_documents WHERE source = ?1)";

/// Begins the source of documents that came with vectors made elsewhere; the file of their texts follows. Neither
/// originals nor the registry know them.
inline constexpr const char* kGivenSource = "vectors:";
inline constexpr const char* kIngestedSources =
    "SELECT DISTINCT source FROM documents WHERE finished AND source NOT GLOB 'vectors:*'";

}  // namespace reef::document::internal
