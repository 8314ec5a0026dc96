#pragma once

#include <cstdint>
#include <filesystem>

namespace reef::persona::internal {

/// Bytes of the files below a folder, or below what a link of that name leads to; a file with several names there
/// counts once. 0 where there is none; what vanishes meanwhile does not count.
std::uint64_t folder_bytes(const std::filesystem::path& folder);

}  // namespace reef::persona::internal
