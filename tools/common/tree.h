#pragma once

#include "reef/cli/app.h"
#include "reef/tree/tree.h"

namespace reef::tool {

/// The tree of this run, as its owner when the command writes.
tree::Tree open_tree(const cli::Session& session, bool writes);

}  // namespace reef::tool
