#include "reef/document/internal/part_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/document/chunk_map.h"
#include "reef/document/internal/id_mapping.h"
#include "reef/document/internal/sources.h"
#include "reef/document/store.h"

namespace reef::document::internal {

std::optional<io::Database> PartCheck::run(Progress& progress) {
  report_.scopes.push_back(name_);
  try {
    database_ = io::Database(folder_ / "metadata.sqlite", io::OpenMode::read);
    io::require_version(database_, Store::kVersion);
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt && error.code() != Errc::not_found) throw;
    add("metadata.sqlite", error.what(), kRestore);
    return std::nullopt;
  }
  progress.begin("checking " + name_, 0, ProgressUnit::items);
  if (const std::string broken = database_.integrity(); !broken.empty()) {
    add("metadata.sqlite", "SQLite: " + broken, kRestore);
    return std::nullopt;
  }
  check_text_index();
  for (const vector::StoreFault& fault : vector::verify_store(folder_, database_)) add(fault);
  if (report_.with_faiss) compare_with_faiss();
  check_rows();
  check_id_mapping();
  check_leftovers();
  count();
  progress.end();
  return std::move(database_);
}

void PartCheck::add(std::string file, std::string what, std::string next_step, bool mends_itself) {
  report_.faults.push_back({name_, std::move(file), std::move(what), std::move(next_step), mends_itself});
}

void PartCheck::add(const vector::StoreFault& fault) {
  add(fault.file, fault.what, fault.mends_itself ? kNextRun : fault.next_step, fault.mends_itself);
}

std::int64_t PartCheck::number(const char* sql) {
  auto statement = database_.prepare(sql);
  statement.step();
  return statement.integer(0);
}

void PartCheck::check_text_index() {
  // FTS5's own check writes nothing, but is an INSERT: it needs a connection that may write.
  io::Database writable;
  try {
    writable = io::Database(database_.path(), io::OpenMode::write);
  } catch (const Error&) {
    log_step("{}: cannot be written, so FTS5 cannot check its index", io::shown(database_.path()));
  }
  try {
    if (writable) writable.execute("INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('integrity-check', 1)");
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    add("metadata.sqlite", "the full-text index does not match the texts",
        "remove the scope's documents and ingest them again");
  }
  check_map();
}

/// chunk_map is a copy of what chunks says; queries read only the copy.
void PartCheck::check_map() {
  ChunkMap map;
  try {
    map.load(database_);
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    return add("metadata.sqlite", error.what(), error.hint());
  }
  auto chunks = database_.prepare("SELECT id, vector_row FROM chunks");
  std::int64_t count = 0, wrong = 0;
  while (chunks.step()) {
    ++count;
    const std::int64_t id = chunks.integer(0);
    const std::int64_t row = chunks.is_null(1) ? -1 : chunks.integer(1);
    const auto mapped = map.row(id);
    const bool same_row =
        mapped ? static_cast<std::int64_t>(*mapped) == row && map.chunk_of_row(*mapped) == id : row == -1;
    if (map.words(id) == 0 || !same_row) ++wrong;
  }
  if (wrong > 0 || map.rows(false) + map.rows(true) != count)
    add("metadata.sqlite",
        fmt::format("table chunk_map disagrees with {} of {} chunks",
                    std::max(wrong, std::abs(map.rows(false) + map.rows(true) - count)), count),
        "remove the scope's documents and ingest them again");
}

void PartCheck::check_rows() {
  const auto state = vector::read_state(database_);
  auto beyond = database_.prepare("SELECT count(*) FROM chunks WHERE vector_row >= ?");
  beyond.bind(1, static_cast<std::int64_t>(state.rows_total)).step();
  if (beyond.integer(0) > 0)
    add("metadata.sqlite",
        fmt::format("{} chunks name vectors past the {} committed rows", beyond.integer(0), state.rows_total),
        kRestore);
  const std::int64_t dead = number("SELECT count(*) FROM dead_rows");
  const std::int64_t alive = number("SELECT count(*) FROM chunks WHERE vector_row IS NOT NULL");
  if (static_cast<std::uint64_t>(alive + dead) != state.rows_total)
    add("vectors.npy",
        fmt::format("{} rows, of which {} belong to chunks and {} are removed", state.rows_total, alive, dead),
        kRestore);
  if (number("SELECT count(*) FROM chunks c JOIN dead_rows d ON d.row = c.vector_row") > 0)
    add("metadata.sqlite", "a chunk names a removed vector", kRestore);
  if (const auto unfinished = number("SELECT count(*) FROM documents WHERE NOT finished"); unfinished > 0)
    add("metadata.sqlite",
        fmt::format("{} documents that a run began and never finished (no query sees them)", unfinished), kNextRun,
        true);
}

void PartCheck::check_id_mapping() {
  const auto head = read_mapping_head(folder_ / "id_mapping.json");
  if (!head || !may_stay(*head, mapping_head(database_)))
    add("id_mapping.json", "not of the store's present state", kNextRun, true);
  else if (!has_mapping(folder_ / "id_mapping.json", database_, scope_, *head))
    add("id_mapping.json", "it does not say what the store holds", "remove the file, and the next run makes it again");
}

void PartCheck::check_leftovers() {
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".") && name.ends_with(".tmp"))
      add(io::shown(name), "left by a run that was ended", kNextRun, true);
  }
}

void PartCheck::compare_with_faiss() {
  try {
    auto comparison = vector::compare_with_faiss(folder_, database_);
    if (!comparison) return;
    for (const vector::StoreFault& fault : comparison->faults) add(fault);
    report_.comparisons.push_back({name_, *std::move(comparison)});
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;  // of vectors.npy, which verify_store() named
  }
}

void PartCheck::count() {
  report_.documents += static_cast<std::uint64_t>(number("SELECT count(*) FROM documents WHERE finished"));
  report_.chunks += static_cast<std::uint64_t>(number("SELECT count(*) FROM chunks"));
  report_.vectors += static_cast<std::uint64_t>(number("SELECT count(*) FROM chunks WHERE vector_row IS NOT NULL"));
}

}  // namespace reef::document::internal
