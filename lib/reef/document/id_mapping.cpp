#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/document/store.h"
#include "reef/io/file.h"

namespace reef::document {
namespace {

std::string quoted(std::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

/// {"schema","generation","rows_total","ids":{"0":{"chunk","document","start","end"},…}}: which text a
/// row of vectors.npy belongs to, for programs that read neither SQLite nor reef. Derived; rows
/// that were removed are absent.
void Store::write_id_mapping() {
  const auto& state = vectors_.state();
  auto counts = database_.prepare(
      "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'chunks'), 0), (SELECT count(*) FROM dead_rows)");
  counts.step();
  // Chunk ids and dead rows only grow: together they tell whether the file on disk is of this content.
  const std::string head = fmt::format(
      "{{\"schema\":\"reef.vectors.id_mapping/"
      "1\",\"generation\":{},\"rows_total\":{},\"last_chunk\":{},\"dead_rows\":{},"
      "\"ids\":{{",
      state.generation, state.rows_total, counts.integer(0), counts.integer(1));
  const auto path = folder_ / "id_mapping.json";
  try {
    const io::UniqueFd existing = io::open_file(path, 0 /* O_RDONLY */);
    std::string start(head.size(), '\0');
    if (io::file_size(existing.get(), path) >= head.size()) {
      io::pread_exact(existing.get(), start.data(), start.size(), 0, path);
      if (start == head) return;  // already of this content
    }
  } catch (const Error&) {
    // Absent or unreadable: it is derived, so it is simply written.
  }
  io::StagedFile file(path);
  std::string buffer = head;
  auto rows = database_.prepare(
      "SELECT c.vector_row, c.id, d.name, c.start_byte, c.end_byte FROM chunks c JOIN documents d ON d.id = c.document "
      "WHERE c.vector_row IS NOT NULL AND d.finished ORDER BY c.vector_row");
  const char* comma = "";
  while (rows.step()) {
    buffer +=
        fmt::format("{}\"{}\":{{\"chunk\":\"{}\",\"document\":{},\"start\":{},\"end\":{}}}", comma, rows.integer(0),
                    chunk_id(scope_, rows.integer(1)), quoted(rows.text(2)), rows.integer(3), rows.integer(4));
    comma = ",";
    if (buffer.size() > (1u << 20)) {
      file.write(buffer);
      buffer.clear();
    }
  }
  file.write(buffer + "}}\n");
  file.commit();
}

}  // namespace reef::document
