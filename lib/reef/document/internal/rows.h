#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "reef/document/chunk_map.h"
#include "reef/document/store.h"
#include "reef/io/sqlite.h"

namespace reef::document::internal {

/// Of table documents, in the order that read_document() takes them in.
inline constexpr const char* kDocumentColumns = "id, name, source, title, sha256, format, created, added";
/// A row that begins with kDocumentColumns; without tags and the number of chunks.
DocumentRow read_document(const io::Statement& row);

/// Inserts finished documents with their tags.
class DocumentWriter {
 public:
  explicit DocumentWriter(io::Database& database);
  /// Returns the id.
  std::int64_t insert(const DocumentRow& document);

 private:
  io::Database& database_;
  io::Statement insert_;
  io::Statement tag_;
};

/// Inserts chunks with their words, and notes them in the map, which the caller saves.
class ChunkWriter {
 public:
  ChunkWriter(io::Database& database, ChunkMap& map);
  /// `id` nullopt: the next one. Returns the id. Ids and rows grow from call to call.
  std::int64_t insert(std::optional<std::int64_t> id, std::int64_t document, std::string_view title,
                      const NewChunk& added);

 private:
  io::Database& database_;
  ChunkMap& map_;
  io::Statement insert_;
  io::Statement index_;
  io::Statement words_;
};

}  // namespace reef::document::internal
