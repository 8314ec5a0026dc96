#include "reef/io/internal/sqlite_error.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <system_error>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::io::internal {
namespace {

constexpr const char* kSpaceHint = "free some space, then run the command again; nothing was lost";

Error corrupt(const std::string& path, const std::string& detail) {
  return {Errc::corrupt, fmt::format("{} is damaged: {}", path, detail), "restore it from a backup"};
}

}  // namespace

std::string shown_file(sqlite3* db) {
  const char* name = db == nullptr ? nullptr : ::sqlite3_db_filename(db, "main");
  return name == nullptr || *name == '\0' ? "the database in memory" : shown(name);
}

void throw_sqlite(sqlite3* db, int code, const std::string& action, const std::string& path) {
  // What SQLite remembers about the connection is about `code` only when it holds the same code.
  const bool about_this = db != nullptr && (::sqlite3_errcode(db) & 0xFF) == (code & 0xFF);
  std::string detail = about_this ? ::sqlite3_errmsg(db) : ::sqlite3_errstr(code);
  const int system = about_this ? ::sqlite3_system_errno(db) : 0;
  const bool from_system = (code & 0xFF) == SQLITE_CANTOPEN || (code & 0xFF) == SQLITE_IOERR;
  if (from_system && system != 0) detail = std::generic_category().message(system);
  const std::string message = fmt::format("{} {}: {}", action, path, detail);

  switch (code & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw corrupt(path, detail);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      check_interrupt();  // a signal ended the wait
      throw Error(Errc::locked, fmt::format("{} is in use by another process", path),
                  "wait for that run to end, then run the command again");
    case SQLITE_FULL:
      throw Error(Errc::failed, fmt::format("{} {}: no space left on the device", action, path), kSpaceHint);
    case SQLITE_IOERR:
      throw Error(Errc::failed, message, system == ENOSPC || system == EDQUOT ? kSpaceHint : "");
    case SQLITE_INTERRUPT:
      throw Error(Errc::interrupted, "interrupted");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      throw Error(Errc::failed, message,
                  "run the command as the user that owns the tree ('reef-init --check' shows who)");
    default:
      throw Error(Errc::failed, message);
  }
}

}  // namespace reef::io::internal
