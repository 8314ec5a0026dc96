#include <fmt/format.h>
#include <sqlite3.h>

#include "reef/core/error.h"
#include "reef/io/internal/sqlite_error.h"
#include "reef/io/sqlite.h"

namespace reef::io {
namespace {

using internal::shown_file;
using internal::throw_sqlite;

void check_bind(sqlite3_stmt* statement, int code) {
  if (code == SQLITE_OK) return;
  sqlite3* db = ::sqlite3_db_handle(statement);
  throw_sqlite(db, code, fmt::format("bind a value of '{}' for", ::sqlite3_sql(statement)), shown_file(db));
}

}  // namespace

void SqliteStatementTraits::release(sqlite3_stmt* statement) noexcept { ::sqlite3_finalize(statement); }

Statement::Statement(Database& database, std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const char* tail = nullptr;
  const int code = ::sqlite3_prepare_v2(database.handle(), sql.data(), static_cast<int>(sql.size()), &raw, &tail);
  handle_.reset(raw);
  if (code != SQLITE_OK) {
    throw_sqlite(database.handle(), code, fmt::format("prepare '{}' for", sql), shown_file(database.handle()));
  }
  // A second statement would never run: that is a mistake of the caller, not of the data.
  const std::string_view rest(tail, static_cast<std::size_t>(sql.data() + sql.size() - tail));
  if (raw == nullptr || rest.find_first_not_of("; \t\n") != std::string_view::npos) {
    throw Error(Errc::failed, fmt::format("prepare '{}' for {}: not exactly one statement", sql, database.path()));
  }
}

Statement& Statement::bind(int index, std::int64_t value) {
  check_bind(handle_.get(), ::sqlite3_bind_int64(handle_.get(), index, value));
  return *this;
}

Statement& Statement::bind(int index, double value) {
  check_bind(handle_.get(), ::sqlite3_bind_double(handle_.get(), index, value));
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  const char* data = text.data() == nullptr ? "" : text.data();  // a null pointer would bind NULL
  check_bind(handle_.get(),
             ::sqlite3_bind_text64(handle_.get(), index, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int index, std::span<const std::uint8_t> bytes) {
  const void* data = bytes.data() == nullptr ? static_cast<const void*>("") : bytes.data();
  check_bind(handle_.get(), ::sqlite3_bind_blob64(handle_.get(), index, data, bytes.size(), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind_null(int index) {
  check_bind(handle_.get(), ::sqlite3_bind_null(handle_.get(), index));
  return *this;
}

bool Statement::step() {
  const int code = ::sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  sqlite3* db = ::sqlite3_db_handle(handle_.get());
  const bool reads = ::sqlite3_stmt_readonly(handle_.get()) != 0;
  try {
    throw_sqlite(db, code, reads ? "read" : "change", shown_file(db));
  } catch (...) {
    ::sqlite3_reset(handle_.get());  // only now: it would take the message away
    throw;
  }
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

Statement& Statement::reset() {
  ::sqlite3_reset(handle_.get());  // repeats the error of the last step(), which has been thrown
  return *this;
}

bool Statement::is_null(int column) const { return ::sqlite3_column_type(handle_.get(), column) == SQLITE_NULL; }

std::int64_t Statement::integer(int column) const { return ::sqlite3_column_int64(handle_.get(), column); }

double Statement::real(int column) const { return ::sqlite3_column_double(handle_.get(), column); }

std::string_view Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(::sqlite3_column_text(handle_.get(), column));
  return data == nullptr
             ? std::string_view{}
             : std::string_view(data, static_cast<std::size_t>(::sqlite3_column_bytes(handle_.get(), column)));
}

std::span<const std::uint8_t> Statement::blob(int column) const {
  const auto* data = static_cast<const std::uint8_t*>(::sqlite3_column_blob(handle_.get(), column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(::sqlite3_column_bytes(handle_.get(), column))};
}

}  // namespace reef::io
