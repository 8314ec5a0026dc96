#include "reef/vector/store.h"

#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"
#include "reef/vector/internal/store_files.h"

namespace reef::vector {
namespace {

/// Codes only speed a search up: without them it runs over the floats.
CodeMatrix open_codes(const std::filesystem::path& folder, const StoreState& state, std::vector<std::string>& missing) {
  try {
    CodeMatrix codes(folder / state.codes_file, state.dim);
    if (codes.rows() < state.rows_total)
      missing.push_back(fmt::format(
          "{}: holds {} of {} rows; the others are searched in {}, which takes longer, until something is added",
          io::shown(folder / state.codes_file), codes.rows(), state.rows_total, state.vectors_file));
    return codes;
  } catch (const Error& e) {
    missing.push_back(
        fmt::format("{}; searching {}, which takes longer, until something is added", e.what(), state.vectors_file));
    return {};
  }
}

/// Nor does the graph.
io::MappedFile open_index(const std::filesystem::path& folder, const StoreState& state,
                          std::vector<std::string>& missing) {
  if (state.index_file.empty()) return {};
  try {
    io::MappedFile index(folder / state.index_file);
    if (index.size() == 0) throw Error(Errc::corrupt, fmt::format("{}: is empty", io::shown(index.path())), "");
    return index;
  } catch (const Error& e) {
    missing.push_back(
        fmt::format("{}; scanning all vectors, which takes longer, until 'reef-index build' runs", e.what()));
    return {};
  }
}

}  // namespace

const char* const kStoreSchema = R"sql(
CREATE TABLE store (
  id           INTEGER PRIMARY KEY CHECK (id = 1),
  generation   INTEGER NOT NULL,
  vectors_file TEXT    NOT NULL,
  codes_file   TEXT    NOT NULL,
  rows_total   INTEGER NOT NULL CHECK (rows_total >= 0),
  dim          INTEGER NOT NULL CHECK (dim >= 0),
  model        TEXT    NOT NULL,
  model_digest TEXT    NOT NULL
) STRICT;
INSERT INTO store VALUES (1, 0, '', '', 0, 0, '', '');
CREATE TABLE dead_rows (row INTEGER PRIMARY KEY) STRICT;
)sql";

const char* const kIndexSchema = R"sql(
ALTER TABLE store ADD COLUMN index_file TEXT NOT NULL DEFAULT '';
ALTER TABLE store ADD COLUMN rows_indexed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE store ADD COLUMN index_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE store ADD COLUMN index_factory TEXT NOT NULL DEFAULT '';
ALTER TABLE store ADD COLUMN index_by_floats INTEGER NOT NULL DEFAULT 0;
ALTER TABLE store ADD COLUMN index_recall REAL NOT NULL DEFAULT 0.95;
)sql";

StoreState read_state(io::Database& metadata) {
  auto query = metadata.prepare(
      "SELECT generation, vectors_file, codes_file, rows_total, dim, model, model_digest, index_file, rows_indexed, "
      "index_sha256, index_factory, index_by_floats, index_recall FROM store WHERE id = 1");
  if (!query.step()) {
    throw Error(Errc::corrupt, fmt::format("{}: table store is empty", metadata.path()),
                "restore the database from a backup");
  }
  StoreState state;
  state.generation = query.integer(0);
  state.vectors_file = query.text(1);
  state.codes_file = query.text(2);
  state.rows_total = static_cast<std::uint64_t>(query.integer(3));
  state.dim = static_cast<std::size_t>(query.integer(4));
  state.model = query.text(5);
  state.model_digest = query.text(6);
  state.index_file = query.text(7);
  state.rows_indexed = static_cast<std::uint64_t>(query.integer(8));
  state.index_sha256 = query.text(9);
  state.index_factory = query.text(10);
  state.index_by_floats = query.integer(11) != 0;
  state.index_recall = query.real(12);
  if (state.rows_indexed > state.rows_total) {
    throw Error(Errc::corrupt,
                fmt::format("{}: table store counts {} rows in the index of {} in all", metadata.path(),
                            state.rows_indexed, state.rows_total),
                "restore the database from a backup");
  }
  return state;
}

bool are_of_one_model(const StoreState& a, const StoreState& b) {
  const bool by_name = a.model == b.model && (a.model_digest.empty() || b.model_digest.empty());
  return a.dim == b.dim && (a.model_digest == b.model_digest || by_name);
}

IndexKind index_kind(const StoreState& state) {
  if (state.index_file.empty()) return IndexKind::none;
  if (!state.index_factory.empty()) return IndexKind::factory;
  return state.index_by_floats ? IndexKind::float_graph : IndexKind::graph;
}

const char* index_kind_name(IndexKind kind) {
  constexpr const char* kNames[] = {"none", "graph", "float-graph", "factory"};
  return kNames[static_cast<std::size_t>(kind)];
}

StoreReader::StoreReader(std::filesystem::path folder, io::Database& metadata)
    : folder_(std::move(folder)), state_(read_state(metadata)) {
  if (empty()) return;
  vectors_ = internal::open_vectors(folder_, state_);
  // Codes of rows such as these would lose what the index was built to find.
  if (!state_.index_by_floats) codes_ = open_codes(folder_, state_, missing_);
  index_map_ = open_index(folder_, state_, missing_);
  auto query = metadata.prepare("SELECT row FROM dead_rows WHERE row >= 0 AND row < ? ORDER BY row");
  query.bind(1, static_cast<std::int64_t>(state_.rows_total));
  while (query.step()) dead_.push_back(static_cast<std::uint64_t>(query.integer(0)));
}

StoreReader open_reader(const std::filesystem::path& folder, io::Database& database, io::Transaction& transaction) {
  std::int64_t tried = -1;
  for (;;) {
    const auto generation = read_state(database).generation;
    const bool again = generation == tried;
    tried = generation;
    try {
      StoreReader reader(folder, database);
      if (reader.missing().empty() || again) {
        for (const std::string& what : reader.missing()) log_warn("{}", what);
        return reader;
      }
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt || again) throw;
    }
    transaction.restart();
  }
}

}  // namespace reef::vector
