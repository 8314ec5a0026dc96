#pragma once

#include <filesystem>

namespace reef::tree {

/// Whether there is a folder of that name, or a link to one.
bool is_folder(const std::filesystem::path& path);

/// Makes a folder of the tree and what is missing above it, durably, with mode 2750 (reef-tree(5))
/// whatever the umask. One that is there stays as it is.
void make_folders(const std::filesystem::path& path);

}  // namespace reef::tree
