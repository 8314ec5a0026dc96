#pragma once

#include <chrono>
#include <filesystem>

#include "reef/io/file.h"
#include "reef/tree/tree.h"

namespace reef::session::internal {

/// Against other runs of `archive`, `delete` and `verify`, and while the database is made; whoever only adds messages
/// needs none. Removes what killed runs left in data/conversations. Throws Error{locked} after `wait`.
io::LockFile lock_conversations(const tree::Tree& tree, std::chrono::milliseconds wait);

/// Against runs of other trees that have the archive `file` is in. Removes what killed runs left beside it.
io::LockFile lock_archive(const std::filesystem::path& file, std::chrono::milliseconds wait);

}  // namespace reef::session::internal
