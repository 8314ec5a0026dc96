#pragma once

#include <filesystem>
#include <string>

#include "reef/recover/replace.h"
#include "reef/tree/tree.h"

namespace reef::recover::internal {

/// Puts the persona's rows of the shared databases that are staged, where they lie in a tree, into those of the tree.
/// May be done again.
RowsMoved bring_rows(const tree::Tree& tree, const std::filesystem::path& staging, const std::string& persona,
                     bool turns_come_too);

}  // namespace reef::recover::internal
