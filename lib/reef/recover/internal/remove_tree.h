#pragma once

#include <filesystem>

namespace reef::recover::internal {

/// Removes a folder with all in it, folders without the right to write included. Never throws: false where some of it
/// stays.
bool remove_tree(const std::filesystem::path& folder) noexcept;

}  // namespace reef::recover::internal
