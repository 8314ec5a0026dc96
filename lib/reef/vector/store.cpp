#include "reef/vector/store.h"

#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"
#include "reef/vector/internal/store_files.h"

namespace reef::vector {
namespace {

/// Codes only speed a search up: without them it runs over the floats.
CodeMatrix open_codes(const std::filesystem::path& folder, const StoreState& state) {
  try {
    CodeMatrix codes(folder / state.codes_file, state.dim);
    if (codes.rows() < state.rows_total) {
      log_warn("{}: holds {} of {} rows; the others are searched in {}, which takes longer, until something is added",
               io::shown(folder / state.codes_file), codes.rows(), state.rows_total, state.vectors_file);
    }
    return codes;
  } catch (const Error& e) {
    log_warn("{}; searching {}, which takes longer, until something is added", e.what(), state.vectors_file);
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

StoreState read_state(io::Database& metadata) {
  auto query = metadata.prepare(
      "SELECT generation, vectors_file, codes_file, rows_total, dim, model, model_digest FROM store WHERE id = 1");
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
  return state;
}

StoreReader::StoreReader(std::filesystem::path folder, io::Database& metadata)
    : folder_(std::move(folder)), state_(read_state(metadata)) {
  if (empty()) return;
  vectors_ = internal::open_vectors(folder_, state_);
  codes_ = open_codes(folder_, state_);
  auto query = metadata.prepare("SELECT row FROM dead_rows ORDER BY row");
  while (query.step()) dead_.push_back(static_cast<std::uint64_t>(query.integer(0)));
}

std::vector<Hit> StoreReader::search(std::span<const float> query, std::size_t k,
                                     const std::vector<std::uint64_t>* only) const {
  if (empty()) return {};
  if (query.size() != state_.dim) {
    throw Error(Errc::usage,
                fmt::format("a question of {} values, but {} holds vectors of {} (model {})", query.size(),
                            io::shown(folder_ / state_.vectors_file), state_.dim, state_.model),
                fmt::format("embed the question with {}", state_.model));
  }
  return scan(vectors_, codes_, query, k, 0, state_.rows_total, RowFilter{only, dead_});
}

}  // namespace reef::vector
