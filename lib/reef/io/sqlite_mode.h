#pragma once

#include <filesystem>
#include <string_view>

#include "reef/io/sqlite.h"

namespace reef::io {

/// For who only looks and is to leave nothing: `write` where that is allowed, for such a connection takes its -wal and
/// -shm away at its end, where one for reading leaves them; else `read`.
OpenMode mode_to_look(const std::filesystem::path& database);

/// Adds another database, which must exist, to a connection as `name`.
void attach(Database& database, const std::filesystem::path& path, std::string_view name);

/// For who does by a few statements what triggers would do row by row. They are off for this connection alone.
void leave_triggers_out(Database& database);

}  // namespace reef::io
