#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "reef/tree/tree.h"

/// Changes to a persona's copies before they come into a tree. `folder` holds what archive.h says.
namespace reef::persona::internal {

namespace fs = std::filesystem;

/// Throws Error{corrupt} for a database that is damaged, or has not the tables and triggers that it has here.
void check_databases(const fs::path& folder, const std::string& file);

/// Another id, in all that names it.
void rename_copies(const fs::path& folder, const std::string& from, const std::string& to);

/// Gives the messages numbers that nobody in the tree has or will get, wherever their numbers stand.
void renumber_copies(const tree::Tree& tree, const fs::path& folder);

}  // namespace reef::persona::internal
