#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "reef/io/sqlite.h"
#include "reef/tree/tree.h"

namespace reef::document::internal {

/// Which content of a store an id_mapping.json is of. Chunk ids and dead rows only grow.
struct MappingHead {
  std::int64_t generation = 0;
  std::int64_t rows_total = 0;
  std::int64_t last_chunk = 0;
  std::int64_t dead_rows = 0;
  friend bool operator==(const MappingHead&, const MappingHead&) = default;
};

/// That of a store's present content.
MappingHead mapping_head(io::Database& metadata);
/// How a file of that content begins.
std::string head_text(const MappingHead& head);
/// nullopt where the file is absent, unreadable or of another form.
std::optional<MappingHead> read_mapping_head(const std::filesystem::path& path);

/// Puts out {"schema",…,"ids":{"0":{"chunk","document","start","end"},…}}: which text a row of vectors.npy belongs to,
/// for programs that read neither SQLite nor reef. Derived; rows that were removed are absent, and those from
/// head.rows_total on.
void put_mapping(io::Database& metadata, const tree::Scope& scope, const MappingHead& head,
                 const std::function<void(std::string_view)>& put);
/// Whether a file is what put_mapping() gives, byte for byte.
bool has_mapping(const std::filesystem::path& path, io::Database& metadata, const tree::Scope& scope,
                 const MappingHead& head);

/// Whether a file of that head may stay beside the store: it is of its present content, or of a large store that has
/// only grown since, by no more than a tenth. What such a file says is right; of the newest rows it says nothing.
bool may_stay(const MappingHead& file, const MappingHead& store);

}  // namespace reef::document::internal
