#pragma once

#include <string>

struct sqlite3;

namespace reef::io::internal {

/// Throws the Error that SQLite's result `code` means: "insert into: /x/metadata.sqlite: …".
/// `action` says what was tried; `path` as given to the user; `db` (may be null) holds the details.
[[noreturn]] void throw_sqlite(sqlite3* db, int code, const std::string& action, const std::string& path);

/// The file of a connection, as messages show it.
std::string shown_file(sqlite3* db);

}  // namespace reef::io::internal
