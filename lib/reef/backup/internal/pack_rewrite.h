#pragma once

#include <cstdint>
#include <vector>

#include "reef/backup/internal/pack_file.h"

namespace reef::backup::internal {

/// What a pack would be with the blocks that are used alone.
struct PackUse {
  std::uint64_t bytes = 0;      ///< that it has
  std::uint64_t new_bytes = 0;  ///< that it would have
};
/// `used` may be shorter than the pack has blocks. Throws Error{corrupt} where the index cannot be read.
PackUse use_of(const PackFile& pack, const std::vector<bool>& used);

/// Puts a pack in its place that has only the blocks which are used, under their old numbers. Whoever has the old one
/// open reads on in it. False, and nothing is done, where one of them is damaged: what is left of it must stay.
bool rewrite_pack(const PackFile& pack, const std::vector<bool>& used, const fs::path& path);

}  // namespace reef::backup::internal
