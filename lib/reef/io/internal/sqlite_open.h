#pragma once

#include <filesystem>
#include <string>

#include "reef/io/sqlite.h"

namespace reef::io::internal {

using SqliteHandle = UniqueHandle<SqliteDbTraits>;

/// A connection with what all of reef's have: a busy handler and a progress handler that end with a signal, foreign
/// keys, no double-quoted strings, no trust in what a schema calls. `flags` are sqlite3_open_v2()'s; `path` is for
/// messages. Reads nothing of the file.
SqliteHandle open_handle(const std::string& name, int flags, const std::string& path);

/// Reads the first page and, in WAL mode, sets up the -shm. Returns SQLite's result.
int touch(sqlite3* db);

/// "file:…?immutable=1", with everything that means something in a URI escaped.
std::string immutable_uri(const std::filesystem::path& path);

/// Debian's SQLite takes any name that begins with "file:" for a URI.
std::string plain_name(const std::filesystem::path& path);

}  // namespace reef::io::internal
