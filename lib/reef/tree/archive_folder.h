#pragma once

#include <filesystem>

#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::tree {

/// storage.archive, absolute. Throws Error{usage} when the configuration names none, Error{not_found} when it is not
/// there, Error{failed} when it cannot be written to. A drive that is not mounted may leave an empty folder in its
/// place: whoever archives there looks for what was archived before.
std::filesystem::path archive_folder(const Tree& tree, const Config& config);

}  // namespace reef::tree
