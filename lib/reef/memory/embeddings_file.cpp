#include "reef/memory/embeddings_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::memory {
namespace {

constexpr std::size_t kBatchRows = 4096;

/// The file as far as it counts; none when it is absent, damaged or another one.
std::optional<vector::NpyMatrix> open_matrix(const std::filesystem::path& folder, const VectorState& state) {
  if (state.dim == 0 || !state.file_is_current()) return std::nullopt;
  try {
    vector::NpyMatrix matrix(embeddings_file(folder), state.file_rows);
    if (matrix.dim() == state.dim) return matrix;
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
  }
  return std::nullopt;
}

/// Rows [state.file_rows or 0, state.rows) to the end of the file, those that nobody has as zeros.
std::uint64_t append_rows(vector::NpyAppender& file, io::Database& database, const VectorState& state) {
  const std::uint64_t begin = file.rows();
  auto select = database.prepare(
      "SELECT vector_row, embedding FROM memories WHERE vector_row >= ? AND embedding IS NOT NULL ORDER BY vector_row");
  select.bind(1, static_cast<std::int64_t>(begin));
  std::vector<float> batch;
  std::uint64_t next = begin;
  const auto flush = [&] {
    file.append({reinterpret_cast<const std::uint8_t*>(batch.data()), batch.size() * sizeof(float)});
    batch.clear();
  };
  const auto fill_to = [&](std::uint64_t row) {
    for (; next < row; ++next) {
      batch.resize(batch.size() + state.dim);
      if (batch.size() >= kBatchRows * state.dim) flush();
    }
  };
  while (select.step()) {
    const auto row = static_cast<std::uint64_t>(select.integer(0));
    const auto bytes = select.blob(1);
    if (row >= state.rows || bytes.size() != state.dim * sizeof(float))
      throw Error(Errc::corrupt,
                  fmt::format("{}: the vector of row {} has {} bytes", database.path(), row, bytes.size()),
                  "see 'reef-memory verify'");
    fill_to(row);
    batch.resize(batch.size() + state.dim);
    std::memcpy(batch.data() + batch.size() - state.dim, bytes.data(), bytes.size());
    ++next;
    if (batch.size() >= kBatchRows * state.dim) flush();
  }
  fill_to(state.rows);
  flush();
  file.sync();
  return file.rows() - begin;
}

/// The whole file, under its name only when it is complete.
void rewrite(const std::filesystem::path& folder, io::Database& database, VectorState& state) {
  const auto target = embeddings_file(folder);
  if (std::error_code unreadable; std::filesystem::is_directory(target, unreadable))
    throw Error(Errc::failed, fmt::format("{} is a folder", io::shown(target)),
                "it is where a file of vectors belongs: move it away");
  const auto temporary = io::temporary_name(target);
  try {
    vector::NpyAppender file(temporary, "<f4", state.dim * sizeof(float), state.dim);
    append_rows(file, database, state);
    file.sync();
    std::filesystem::rename(temporary, target);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw;
  }
  io::sync_directory(folder);
  state.written = state.serial;
  state.file_rows = state.rows;
  io::Transaction transaction(database);
  write_vector_state(database, state);
  transaction.commit();
}

std::uint64_t count_vectors(io::Database& database) {
  auto count = database.prepare("SELECT count(*) FROM memories WHERE vector_row IS NOT NULL");
  count.step();
  return static_cast<std::uint64_t>(count.integer(0));
}

/// Gives all rows numbers without gaps, in their order.
void number_anew(io::Database& database, VectorState& state) {
  io::Transaction transaction(database);
  std::vector<std::int64_t> ids;
  auto select = database.prepare("SELECT id FROM memories WHERE vector_row IS NOT NULL ORDER BY vector_row");
  while (select.step()) ids.push_back(select.integer(0));
  select.reset();
  // In their order each goes to a number that is free: none is above its old one.
  auto update = database.prepare("UPDATE memories SET vector_row = ? WHERE id = ? AND vector_row <> ?");
  for (std::size_t row = 0; row < ids.size(); ++row) {
    const auto number = static_cast<std::int64_t>(row);
    update.bind(1, number).bind(2, ids[row]).bind(3, number).run();
  }
  state.rows = ids.size();
  ++state.serial;
  write_vector_state(database, state);
  transaction.commit();
}

bool is_sound(const std::filesystem::path& folder, const VectorState& state) {
  if (!state.file_is_current() || state.file_rows > state.rows) return false;
  std::error_code unreadable;
  if (!std::filesystem::exists(embeddings_file(folder), unreadable)) return state.rows > 0 && state.file_rows == 0;
  return open_matrix(folder, state).has_value();
}

}  // namespace

VectorState read_vector_state(io::Database& database) {
  auto select = database.prepare(
      "SELECT model, model_digest, dim, rows, serial, written, file_rows, threshold, calibrated FROM vector_state");
  if (!select.step())
    throw Error(Errc::corrupt, fmt::format("{}: table vector_state is empty", database.path()),
                "restore the file from a backup");
  VectorState state;
  state.model = select.text(0);
  state.model_digest = select.text(1);
  state.dim = static_cast<std::size_t>(select.integer(2));
  state.rows = static_cast<std::uint64_t>(select.integer(3));
  state.serial = select.integer(4);
  state.written = select.integer(5);
  state.file_rows = static_cast<std::uint64_t>(select.integer(6));
  if (!select.is_null(7)) state.threshold = select.real(7);
  state.calibrated = static_cast<std::uint64_t>(select.integer(8));
  return state;
}

void write_vector_state(io::Database& database, const VectorState& state) {
  auto update = database.prepare(
      "UPDATE vector_state SET model = ?, model_digest = ?, dim = ?, rows = ?, serial = ?, written = ?, "
      "file_rows = ?, threshold = ?, calibrated = ?");
  update.bind(1, state.model).bind(2, state.model_digest).bind(3, static_cast<std::int64_t>(state.dim));
  update.bind(4, static_cast<std::int64_t>(state.rows)).bind(5, state.serial).bind(6, state.written);
  update.bind(7, static_cast<std::int64_t>(state.file_rows));
  if (state.threshold)
    update.bind(8, *state.threshold);
  else
    update.bind_null(8);
  update.bind(9, static_cast<std::int64_t>(state.calibrated)).run();
}

std::filesystem::path embeddings_file(const std::filesystem::path& folder) { return folder / "embeddings.npy"; }

Embeddings::Embeddings(const std::filesystem::path& folder, io::Database& database) {
  // A file opened between two looks at one serial is that serial's.
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    state_ = read_vector_state(database);
    matrix_ = open_matrix(folder, state_);
    transaction_.emplace(database, io::Transaction::Kind::read);
    const VectorState now = read_vector_state(database);
    if (now.serial == state_.serial && now.written == state_.written) {
      state_ = now;
      return;
    }
    state_ = now;
    matrix_.reset();
    if (i + 1 < kTries) transaction_.reset();
  }
}

VectorFileChange update_embeddings_file(const std::filesystem::path& folder, io::Database& database, bool anew) {
  constexpr std::uint64_t kFewFree = 64;
  VectorState state = read_vector_state(database);
  if (state.dim == 0) return {};
  const std::uint64_t free = state.rows - std::min(state.rows, count_vectors(database));
  if (free > 0 && (anew || free == state.rows || (free >= kFewFree && free * 4 >= state.rows)))
    number_anew(database, state);
  if (anew || !is_sound(folder, state)) {
    rewrite(folder, database, state);
    return {0, true};
  }
  if (state.file_rows == state.rows) return {};
  vector::NpyAppender file(embeddings_file(folder), "<f4", state.dim * sizeof(float), state.dim, state.file_rows);
  const std::uint64_t appended = append_rows(file, database, state);
  state.file_rows = file.rows();
  io::Transaction transaction(database);
  write_vector_state(database, state);
  transaction.commit();
  return {appended, false};
}

void erase_rows(const std::filesystem::path& folder, const VectorState& state, std::span<const std::uint64_t> rows) {
  const auto matrix = open_matrix(folder, state);
  if (!matrix) return;
  const auto path = embeddings_file(folder);
  const io::UniqueFd fd = io::open_file(path, O_RDWR | O_CLOEXEC);
  const std::string zeros(state.dim * sizeof(float), '\0');
  for (const std::uint64_t row : rows) {
    if (row >= matrix->rows()) continue;
    const auto* const begin = reinterpret_cast<const std::uint8_t*>(matrix->row(row).data());
    io::pwrite_all(fd.get(), zeros, static_cast<std::uint64_t>(begin - matrix->file().data()), path);
  }
  io::sync_file(fd.get(), path);
}

}  // namespace reef::memory
