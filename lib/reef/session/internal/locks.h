#pragma once

#include <chrono>

#include "reef/io/file.h"
#include "reef/tree/tree.h"

namespace reef::session::internal {

/// Against other runs of `archive` and `delete`, and `verify`; whoever only adds messages needs none. Removes what
/// killed runs left in data/conversations. Throws Error{locked} after `wait`.
io::LockFile lock_conversations(const tree::Tree& tree, std::chrono::milliseconds wait);

}  // namespace reef::session::internal
