#pragma once

#include "reef/io/sqlite.h"
#include "reef/session/internal/conversations.h"

namespace reef::session::internal {

/// A later export of a tree may have another path for its main one. Messages that are stored stay in the session that
/// has them, a branch goes on in the session where it began, and a new branch gets a number that is free.
void keep_places(io::Database& conversations, Conversation& tree);

}  // namespace reef::session::internal
