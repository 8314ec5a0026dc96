#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/document/store.h"

namespace reef::document {

bool Snapshot::exists(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / "metadata.sqlite", ignored);
}

Snapshot::Snapshot(const std::filesystem::path& folder, tree::Scope scope)
    : folder_(folder),
      scope_(std::move(scope)),
      database_(folder / "metadata.sqlite", io::OpenMode::read),
      transaction_((io::require_version(database_, Store::kVersion), database_), io::Transaction::Kind::read),
      vectors_(vector::open_reader(folder, database_, transaction_)),
      finder_(database_, "chunks_fts"),
      chunk_(database_,
             "SELECT c.id, c.document, d.name, d.source, d.title, c.text, c.heading_path, c.page, c.start_byte, "
             "c.end_byte, c.vector_row, d.created FROM chunks c JOIN documents d ON d.id = c.document "
             "WHERE c.id = ? AND d.finished") {
  map_.load(database_);
}

std::optional<ChunkRow> Snapshot::chunk(std::int64_t id) {
  std::optional<ChunkRow> row;
  if (chunk_.bind(1, id).step()) {
    row.emplace();
    row->id = chunk_.integer(0);
    row->document = chunk_.integer(1);
    row->name = chunk_.text(2);
    row->source = chunk_.text(3);
    row->title = chunk_.text(4);
    row->text = chunk_.text(5);
    row->heading_path = chunk_.text(6);
    row->page = static_cast<std::uint32_t>(chunk_.integer(7));
    row->start = static_cast<std::uint64_t>(chunk_.integer(8));
    row->end = static_cast<std::uint64_t>(chunk_.integer(9));
    if (!chunk_.is_null(10)) row->vector_row = static_cast<std::uint64_t>(chunk_.integer(10));
    row->created = chunk_.text(11);
  }
  chunk_.reset();
  return row;
}

namespace {

/// "(?,?,?)"
std::string parameters(std::size_t count) {
  std::string list = "(";
  for (std::size_t i = 0; i < count; ++i) list += i == 0 ? "?" : ",?";
  return list + ")";
}

/// What a document may be called: as given, or by the path that this is from here.
std::vector<std::string> with_absolute(const std::vector<std::string>& names) {
  std::vector<std::string> all = names;
  for (const std::string& name : names) all.push_back(std::filesystem::absolute(name).lexically_normal().string());
  return all;
}

}  // namespace

Snapshot::Allowed Snapshot::allowed(const Filter& filter) {
  // Chunk ids out of the index by document; reading the chunks themselves for their rows would take twice as long.
  std::string sql = "SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document WHERE d.finished";
  const bool by_tag_alone =
      !filter.tags.empty() && filter.documents.empty() && filter.since.empty() && filter.until.empty();
  if (by_tag_alone) sql = "SELECT c.id FROM chunks c WHERE true";  // a document gets its tags when it is finished
  if (!filter.tags.empty())
    sql +=
        " AND c.document IN (SELECT document FROM document_tags WHERE tag IN " + parameters(filter.tags.size()) + ")";
  const auto names = with_absolute(filter.documents);
  if (!names.empty()) {
    const std::string list = parameters(names.size());
    sql += " AND d.id IN (SELECT id FROM documents WHERE finished AND name IN " + list +
           " UNION SELECT id FROM documents WHERE source IN " + list + ")";
  }
  // A document without a date of its own counts from the day it was taken in.
  if (!filter.since.empty()) sql += " AND coalesce(nullif(d.created, ''), d.added) >= ?";
  if (!filter.until.empty()) sql += " AND coalesce(nullif(d.created, ''), d.added) < ?";
  auto statement = database_.prepare(sql);
  int index = 0;
  for (const std::string& tag : filter.tags) statement.bind(++index, tag);
  for (int list = 0; list < 2; ++list)
    for (const std::string& name : names) statement.bind(++index, name);
  if (!filter.since.empty()) statement.bind(++index, filter.since);
  if (!filter.until.empty()) statement.bind(++index, filter.until);
  Allowed allowed;
  while (statement.step()) {
    allowed.chunks.push_back(statement.integer(0));
    const auto row = map_.row(allowed.chunks.back());
    if (row && *row < vectors_.state().rows_total) allowed.vector_rows.push_back(*row);
  }
  std::sort(allowed.chunks.begin(), allowed.chunks.end());
  std::sort(allowed.vector_rows.begin(), allowed.vector_rows.end());
  return allowed;
}

bool Snapshot::holds_document(const std::string& name) {
  auto statement =
      database_.prepare("SELECT 1 FROM documents WHERE finished AND (name IN (?1, ?2) OR source IN (?1, ?2))");
  const auto names = with_absolute({name});
  return statement.bind(1, names[0]).bind(2, names[1]).step();
}

std::int64_t Snapshot::documents() {
  auto statement = database_.prepare("SELECT count(*) FROM documents WHERE finished");
  statement.step();
  return statement.integer(0);
}

}  // namespace reef::document
