#pragma once

#include <filesystem>

#include "reef/io/sqlite.h"

namespace reef::session {

/// open_conversations() for a copy of the database somewhere else, whose folder has room for what is made on the way.
io::Database open_conversations_copy(const std::filesystem::path& file);

}  // namespace reef::session
