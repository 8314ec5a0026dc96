#include <fmt/format.h>

#include <cmath>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"
#include "reef/vector/internal/store_files.h"
#include "reef/vector/store.h"

namespace reef::vector {
namespace {

constexpr std::size_t kShownDigits = 12;

void require_unit_rows(std::span<const float> rows, std::size_t dim, const std::string& model) {
  for (std::size_t at = 0; at < rows.size(); at += dim) {
    if (is_unit(rows.subspan(at, dim))) continue;
    throw Error(Errc::failed,
                fmt::format("vector {} of this batch has length {:.4g}, not 1; the store was not changed", at / dim,
                            internal::norm(rows.subspan(at, dim))),
                fmt::format("check the embedding model {}", model));
  }
}

std::span<const std::uint8_t> bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()};
}

}  // namespace

StoreWriter::StoreWriter(std::filesystem::path folder, io::Database& metadata)
    : folder_(std::move(folder)), metadata_(metadata), state_(read_state(metadata)) {
  io::remove_stale(folder_);
  internal::remove_unnamed(folder_, state_);
  if (state_.rows_total > 0) open_files();
}

void StoreWriter::open_files() {
  vectors_.emplace(folder_ / state_.vectors_file, "<f4", state_.dim * sizeof(float), state_.dim, state_.rows_total);
  codes_.emplace(internal::open_or_rebuild_codes(folder_, state_));
  next_row_ = state_.rows_total;
}

void StoreWriter::use_model(const std::string& name, const std::string& digest, std::size_t dim) {
  if (next_row() == 0) {
    // Of another model: what stands in the store belongs to no row any more.
    vectors_.reset();
    codes_.reset();
    state_.generation = std::max<std::int64_t>(state_.generation, 1);
    state_.vectors_file = fmt::format("vectors.{}.npy", state_.generation);
    state_.codes_file = fmt::format("codes.{}.npy", state_.generation);
    state_.dim = dim;
    state_.model = name;
    state_.model_digest = digest;
    return;
  }
  const bool given_under_that_name = name == state_.model && (state_.model_digest.empty() || digest.empty());
  if (dim == state_.dim && (digest == state_.model_digest || given_under_that_name)) return;
  std::string held = state_.model;
  std::string added = name;
  if (held == added) {  // one name, other weights: the digests tell them apart
    held += fmt::format(" ({})", state_.model_digest.substr(0, kShownDigits));
    added += fmt::format(" ({})", digest.substr(0, kShownDigits));
  }
  throw Error(Errc::usage,
              fmt::format("{}: the store holds vectors of {}, this run would add {}", io::shown(folder_), held, added),
              fmt::format("'reef-index build --embedding {}' embeds the store again; or name {} in models.yaml again",
                          name, state_.model));
}

void StoreWriter::begin_again(const std::string& name, const std::string& digest, std::size_t dim) {
  vectors_.reset();
  codes_.reset();
  next_row_ = 0;
  const std::int64_t generation = state_.generation + 1;
  state_ = StoreState{};
  state_.generation = generation;
  state_.vectors_file = fmt::format("vectors.{}.npy", generation);
  state_.codes_file = fmt::format("codes.{}.npy", generation);
  state_.dim = dim;
  state_.model = name;
  state_.model_digest = digest;
}

std::uint64_t StoreWriter::append(std::span<const float> rows) {
  if (state_.dim == 0 || rows.size() % state_.dim != 0) {
    throw Error(Errc::failed,
                fmt::format("{}: {} values are no vectors of {}", io::shown(folder_), rows.size(), state_.dim));
  }
  require_unit_rows(rows, state_.dim, state_.model);
  if (!vectors_) open_files();
  // An append that failed between the two files left one of them longer.
  vectors_->truncate(next_row_);
  codes_->truncate(next_row_);
  std::vector<std::uint8_t> encoded;
  encode_rows(rows, state_.dim, encoded);
  vectors_->append(bytes_of(rows));
  codes_->append(encoded);
  vectors_->sync();
  codes_->sync();
  const std::uint64_t first = next_row_;
  next_row_ += rows.size() / state_.dim;
  return first;
}

void StoreWriter::commit() {
  const std::uint64_t rows = next_row();
  auto update = metadata_.prepare(
      "UPDATE store SET generation = ?1, vectors_file = ?2, codes_file = ?3, rows_total = ?4, dim = ?5, model = ?6, "
      "model_digest = ?7 WHERE id = 1");
  update.bind(1, state_.generation).bind(2, state_.vectors_file).bind(3, state_.codes_file);
  update.bind(4, static_cast<std::int64_t>(rows)).bind(5, static_cast<std::int64_t>(state_.dim));
  update.bind(6, state_.model).bind(7, state_.model_digest).run();
  state_.rows_total = rows;
}

void StoreWriter::remove(std::span<const std::uint64_t> rows) {
  auto insert = metadata_.prepare("INSERT OR IGNORE INTO dead_rows (row) VALUES (?1)");
  for (const std::uint64_t row : rows) {
    if (row >= next_row()) {
      throw Error(Errc::failed,
                  fmt::format("{}: row {} is to be removed, the store holds {}", io::shown(folder_), row, next_row()));
    }
    insert.bind(1, static_cast<std::int64_t>(row)).run();
  }
}

void StoreWriter::adopt(const StoreState& rebuilt) {
  auto update = metadata_.prepare(
      "UPDATE store SET generation = ?1, vectors_file = ?2, codes_file = ?3, rows_total = ?4, dim = ?5, model = ?6, "
      "model_digest = ?7, index_file = ?8, rows_indexed = ?9, index_sha256 = ?10, index_factory = ?11, "
      "index_by_floats = ?12, index_recall = ?13 WHERE id = 1");
  update.bind(1, rebuilt.generation).bind(2, rebuilt.vectors_file).bind(3, rebuilt.codes_file);
  update.bind(4, static_cast<std::int64_t>(rebuilt.rows_total)).bind(5, static_cast<std::int64_t>(rebuilt.dim));
  update.bind(6, rebuilt.model).bind(7, rebuilt.model_digest).bind(8, rebuilt.index_file);
  update.bind(9, static_cast<std::int64_t>(rebuilt.rows_indexed)).bind(10, rebuilt.index_sha256);
  update.bind(11, rebuilt.index_factory).bind(12, static_cast<std::int64_t>(rebuilt.index_by_floats));
  update.bind(13, rebuilt.index_recall).run();
  if (rebuilt.vectors_file != state_.vectors_file) metadata_.execute("DELETE FROM dead_rows");
  begin_at(rebuilt);
}

void StoreWriter::begin_at(const StoreState& state) {
  state_ = state;
  vectors_.reset();
  codes_.reset();
  next_row_ = state_.rows_total;
}

void StoreWriter::reload() { begin_at(read_state(metadata_)); }

void StoreWriter::remove_unnamed() {
  if (metadata_.in_transaction())
    throw Error(Errc::failed,
                fmt::format("{}: files cannot be removed before what names them is committed", io::shown(folder_)));
  internal::remove_unnamed(folder_, read_state(metadata_));
}

void StoreWriter::abandon() noexcept {
  try {
    vectors_.reset();
    codes_.reset();
    if (!metadata_.in_transaction()) StoreWriter(folder_, metadata_);  // cuts them, as after a run that was killed
  } catch (const std::exception& error) {
    log_detail("{}: {}", io::shown(folder_), error.what());
  }
}

void StoreWriter::publish() {
  // From the database, not from this object: what it counts may have been rolled back.
  const StoreState committed = read_state(metadata_);
  internal::publish(folder_, committed);
}

}  // namespace reef::vector
