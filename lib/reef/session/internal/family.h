#pragma once

#include "reef/io/sqlite.h"
#include "reef/session/internal/conversations.h"

namespace reef::session::internal {

/// A later export of a tree may have another path for its main one. Messages that are stored stay in the session that
/// has them. A new one goes where the one is that it answers, unless another answer is there: then it begins a branch,
/// with a number that is free.
void keep_places(io::Database& conversations, Conversation& tree);

}  // namespace reef::session::internal
