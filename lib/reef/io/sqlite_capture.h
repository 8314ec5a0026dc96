#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "reef/io/sqlite.h"

namespace reef::io {

namespace internal {
class DatabaseImage;
}

struct SqliteCaptureOptions {
  /// How long to ask again where another process keeps the database locked.
  std::chrono::milliseconds patience{10'000};
  /// A folder for a copy of a database without a write-ahead log. Where it cannot hold one, such a database is read in
  /// its place, and whoever writes to it waits so long. Empty: the system's for temporary files.
  std::filesystem::path scratch = {};
  /// Without it a transaction is held also where nobody has the database open: still_holds() is then true as long as
  /// all keep to SQLite's locks.
  bool may_rest = true;
};

/// The bytes of a live SQLite database as of one commit, whoever writes to it meanwhile: a file that opens by itself.
///
/// With a write-ahead log (WAL): a read transaction is held, and the database file is read with the newest frames of
/// the log that this transaction sees in the place of their pages. Writers and their checkpoints never wait. Why the
/// bytes are those of one commit: the wal-index, read before and after the transaction began and the same both times,
/// says up to which frame it sees. While it lasts, SQLite neither starts the log over nor copies later frames into the
/// file; frames that it does copy are read out of the log all the same. A transaction that sees the file alone keeps
/// the file as it is.
///
/// A WAL database that nobody has open is read as it lies, without a lock or a file beside it: see still_holds().
///
/// With a rollback journal: writers have to wait for readers, so that the file is copied to `scratch` first.
///
/// All reading goes through SQLite's own descriptors: closing another one of the same file would drop the locks that
/// this process holds on it. Nothing is written to the database, nor is it checkpointed when it is closed.
class SqliteCapture {
 public:
  /// Throws Error{corrupt} where it is no database, shorter than it says or its log is damaged, Error{locked} after
  /// `patience`, Error{not_found}, Error{failed}.
  explicit SqliteCapture(const std::filesystem::path& path, const SqliteCaptureOptions& options = {});
  SqliteCapture(const SqliteCapture&) = delete;
  SqliteCapture& operator=(const SqliteCapture&) = delete;
  ~SqliteCapture();

  std::uint64_t size_bytes() const;
  /// Fills `into` from `offset`; all of it lies within size_bytes(). From any thread. Throws Error{failed}.
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const;
  /// Of a file that holds the same bytes; -1 where there is none.
  int descriptor() const;
  /// Sees the same commit. For queries alone, by one thread.
  Database& database();
  /// To be asked after the last read: false where the file was written to in a way that no lock kept away, so that what
  /// was read may be of no one moment.
  bool still_holds() const;

 private:
  std::unique_ptr<internal::DatabaseImage> image_;
};

/// Whether the first bytes of a file are those of a SQLite database (sqlite.org/fileformat2.html, section 1.3).
bool begins_as_sqlite(std::span<const std::uint8_t> first_bytes);

}  // namespace reef::io
