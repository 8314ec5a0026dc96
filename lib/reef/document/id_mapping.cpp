#include "reef/document/internal/id_mapping.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/document/store.h"
#include "reef/io/file.h"
#include "reef/io/mapped_file.h"

namespace reef::document {
namespace {

std::string quoted(std::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

constexpr std::string_view kEnd = "}}\n";

}  // namespace

namespace internal {

MappingHead mapping_head(io::Database& metadata) {
  auto counts = metadata.prepare(
      "SELECT generation, rows_total, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'chunks'), 0), "
      "(SELECT count(*) FROM dead_rows) FROM store WHERE id = 1");
  counts.step();
  return {counts.integer(0), counts.integer(1), counts.integer(2), counts.integer(3)};
}

std::string head_text(const MappingHead& head) {
  return fmt::format(
      "{{\"schema\":\"reef.vectors.id_mapping/"
      "1\",\"generation\":{},\"rows_total\":{},\"last_chunk\":{},\"dead_rows\":{},\"ids\":{{",
      head.generation, head.rows_total, head.last_chunk, head.dead_rows);
}

std::optional<MappingHead> read_mapping_head(const std::filesystem::path& path) {
  std::array<char, 257> start{};
  try {
    const io::UniqueFd file = io::open_file(path, O_RDONLY | O_CLOEXEC);
    const std::uint64_t all = io::file_size(file.get(), path);
    io::pread_exact(file.get(), start.data(), std::min<std::uint64_t>(all, start.size() - 1), 0, path);
    char end[kEnd.size()] = {};
    if (all >= kEnd.size()) io::pread_exact(file.get(), end, sizeof end, all - sizeof end, path);
    if (std::string_view(end, sizeof end) != kEnd) return std::nullopt;  // cut
  } catch (const Error&) {
    return std::nullopt;  // derived: whoever may write makes it again
  }
  long long generation = 0, rows_total = 0, last_chunk = 0, dead_rows = 0;
  const int read = std::sscanf(  // NOLINT(cert-err34-c): what does not fit gives another text than the file's
      start.data(),
      R"({"schema":"reef.vectors.id_mapping/1","generation":%lld,"rows_total":%lld,"last_chunk":%lld,"dead_rows":%lld,)",
      &generation, &rows_total, &last_chunk, &dead_rows);
  const MappingHead head{generation, rows_total, last_chunk, dead_rows};
  if (read != 4 || !std::string_view(start.data()).starts_with(head_text(head))) return std::nullopt;
  return head;
}

bool may_stay(const MappingHead& file, const MappingHead& store) {
  constexpr std::int64_t kLarge = 20'000;
  if (file == store) return true;
  const std::int64_t missing = store.rows_total - file.rows_total;
  return store.rows_total >= kLarge && file.generation == store.generation && file.dead_rows == store.dead_rows &&
         missing >= 0 && missing * 10 <= store.rows_total;
}

void put_mapping(io::Database& metadata, const tree::Scope& scope, const MappingHead& head,
                 const std::function<void(std::string_view)>& put) {
  std::string buffer = head_text(head);
  auto rows = metadata.prepare(
      "SELECT c.vector_row, c.id, d.name, c.start_byte, c.end_byte FROM chunks c JOIN documents d ON d.id = c.document "
      "WHERE c.vector_row < ? AND d.finished ORDER BY c.vector_row");
  rows.bind(1, head.rows_total);
  const char* comma = "";
  while (rows.step()) {
    buffer +=
        fmt::format("{}\"{}\":{{\"chunk\":\"{}\",\"document\":{},\"start\":{},\"end\":{}}}", comma, rows.integer(0),
                    chunk_id(scope, rows.integer(1)), quoted(rows.text(2)), rows.integer(3), rows.integer(4));
    comma = ",";
    if (buffer.size() > (1u << 20)) {
      put(buffer);
      buffer.clear();
    }
  }
  put(buffer.append(kEnd));
}

bool has_mapping(const std::filesystem::path& path, io::Database& metadata, const tree::Scope& scope,
                 const MappingHead& head) {
  const io::MappedFile file(path);
  std::string_view rest(reinterpret_cast<const char*>(file.data()), file.size());
  bool same = true;
  put_mapping(metadata, scope, head, [&](std::string_view part) {
    same = same && rest.starts_with(part);
    if (same) rest.remove_prefix(part.size());
  });
  return same && rest.empty();
}

}  // namespace internal

void Store::write_id_mapping(bool append_only) {
  const auto path = folder_ / "id_mapping.json";
  const auto head = internal::mapping_head(database_);
  if (const auto present = internal::read_mapping_head(path);
      present && (append_only ? internal::may_stay(*present, head) : *present == head))
    return;
  io::StagedFile file(path);
  internal::put_mapping(database_, scope_, head, [&](std::string_view part) { file.write(part); });
  file.commit();
}

}  // namespace reef::document
