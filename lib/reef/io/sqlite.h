#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "reef/io/unique_handle.h"

struct sqlite3;
struct sqlite3_stmt;

namespace reef::io {

struct SqliteDbTraits {
  using value_type = sqlite3*;
  static constexpr sqlite3* empty() noexcept { return nullptr; }
  static void release(sqlite3* db) noexcept;
};
struct SqliteStatementTraits {
  using value_type = sqlite3_stmt*;
  static constexpr sqlite3_stmt* empty() noexcept { return nullptr; }
  static void release(sqlite3_stmt* statement) noexcept;
};

class Database;

/// A prepared statement. Bind by position from 1; step() until it returns false; reset() to run it
/// again. Columns count from 0. Views returned by text() and blob() live until the next step.
class Statement {
 public:
  Statement() = default;
  Statement(Database& database, std::string_view sql);

  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, int value) { return bind(index, static_cast<std::int64_t>(value)); }
  Statement& bind(int index, double value);
  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, const char* text) { return bind(index, std::string_view(text)); }
  Statement& bind_blob(int index, std::span<const std::uint8_t> bytes);
  Statement& bind_null(int index);

  /// True when there is a row. Throws Error{failed|corrupt|locked} with the file's name.
  bool step();
  /// Runs a statement that returns no rows, then resets it.
  void run();
  Statement& reset();

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;
  std::span<const std::uint8_t> blob(int column) const;
  sqlite3_stmt* handle() const { return handle_.get(); }

 private:
  UniqueHandle<SqliteStatementTraits> handle_;
};

enum class OpenMode {
  read,    ///< The file must exist; nothing is written (works on a read-only filesystem).
  write,   ///< The file must exist.
  create,  ///< Made when absent.
};

/// One connection, used by one thread at a time. WAL, foreign keys on, double-quoted strings off,
/// secure_delete on, and a busy timeout of five seconds, since reef's own write transactions last
/// less than 50 ms. A pending signal ends that wait and every long statement: Error{interrupted}.
///
/// Throws Error{not_found} when the file must exist and does not, Error{corrupt} when it is no
/// database, Error{locked} when another process keeps it busy, else Error{failed}.
class Database {
 public:
  Database() = default;
  Database(const std::filesystem::path& path, OpenMode mode);
  /// Takes over a connection that was opened and set up in another way; `path` stands in messages.
  Database(std::string path, UniqueHandle<SqliteDbTraits> connection);

  void execute(const std::string& sql);
  /// For who writes many rows: the cache holds all pages of one transaction, and more go into the WAL at a time.
  void expect_many_rows() { execute("PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 4000"); }
  Statement prepare(std::string_view sql) { return Statement(*this, sql); }
  std::int64_t last_insert_rowid() const;
  std::int64_t changes() const;
  bool in_transaction() const;
  const std::string& path() const { return path_; }
  sqlite3* handle() const { return handle_.get(); }
  explicit operator bool() const { return static_cast<bool>(handle_); }

  /// `PRAGMA integrity_check` (or quick_check): empty when sound, else its first lines.
  std::string integrity(bool quick = false);
  /// Flushes the WAL into the database and truncates it; best effort.
  bool checkpoint();
  /// The same where others write: what takes long is done beside them, and who reads is asked again after a pause, for
  /// `patience`, where checkpoint() keeps writers out until the reader ends. False when the log is not empty.
  bool empty_log(std::chrono::milliseconds patience);

 private:
  std::string path_;
  UniqueHandle<SqliteDbTraits> handle_;
};

/// Rolls back unless commit() was called.
class Transaction {
 public:
  enum class Kind { read, write };
  explicit Transaction(Database& database, Kind kind = Kind::write);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  void commit();
  /// Ends a read transaction and begins another one, which sees what was committed since.
  void restart();

 private:
  Database* database_;
};

/// Brings a schema to the newest version: migrations[i] takes user_version i to i + 1, each in its
/// own transaction. Throws Error{usage} when the file is of a newer version than the program.
void migrate(Database& database, std::span<const char* const> migrations);
/// Opens a database for writing; when it is absent, makes it with its whole schema or not at all: in
/// the folder `staging` first (which is made and removed), then by one rename. A reader never sees
/// a file without tables, wherever a run is ended.
Database open_or_make(const std::filesystem::path& path, std::span<const char* const> migrations,
                      const std::filesystem::path& staging);
/// Makes a damaged database empty, in its place and under SQLite's own locks, so that whoever has it open meanwhile
/// goes on with the same file. For what can be made again. Error{locked} when somebody has it open and its first page,
/// which says how it is locked, cannot be read.
void empty_database(const std::filesystem::path& path);
/// migrate()'s check for a reader, which must not write: Error{usage} for a newer or an older file.
void require_version(Database& database, int version);

}  // namespace reef::io
