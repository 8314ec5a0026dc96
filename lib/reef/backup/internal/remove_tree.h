#pragma once

#include <cstdint>
#include <filesystem>

namespace reef::backup::internal {

/// Removes a folder with all below it, following no symbolic link; one whose mode forbids it is given another first.
/// Nothing is done where it is not there. Throws Error{failed}.
void remove_tree(const std::filesystem::path& folder);

/// Removes the temporary folders and files that killed runs left at a destination, whose lock the caller holds.
void remove_stale_trees(const std::filesystem::path& destination);

}  // namespace reef::backup::internal
