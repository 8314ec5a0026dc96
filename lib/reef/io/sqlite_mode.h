#pragma once

#include <filesystem>

#include "reef/io/sqlite.h"

namespace reef::io {

/// For who only looks and is to leave nothing: `write` where that is allowed, for such a connection takes its -wal and
/// -shm away at its end, where one for reading leaves them; else `read`.
OpenMode mode_to_look(const std::filesystem::path& database);

}  // namespace reef::io
