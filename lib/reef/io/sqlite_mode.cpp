#include "reef/io/sqlite_mode.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/internal/sqlite_error.h"

namespace reef::io {

OpenMode mode_to_look(const std::filesystem::path& database) {
  const std::filesystem::path folder = database.has_parent_path() ? database.parent_path() : ".";
  const bool may_write = ::access(database.c_str(), W_OK) == 0 && ::access(folder.c_str(), W_OK) == 0;
  return may_write ? OpenMode::write : OpenMode::read;
}

void attach(Database& database, const std::filesystem::path& path, std::string_view name) {
  if (::access(path.c_str(), F_OK) != 0) throw_errno("open", shown(path));  // SQLite would make it
  // Debian's SQLite takes any name that begins with "file:" for a URI.
  const std::string plain = path.native().starts_with("file:") ? "./" + path.native() : path.native();
  database.prepare(fmt::format("ATTACH ? AS {}", name)).bind(1, plain).run();
}

void leave_triggers_out(Database& database) {
  const int code = ::sqlite3_db_config(database.handle(), SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  if (code != SQLITE_OK) internal::throw_sqlite(database.handle(), code, "configure", database.path());
}

}  // namespace reef::io
