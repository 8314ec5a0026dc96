#pragma once

#include <cstdint>
#include <filesystem>

#include "reef/backup/entry.h"

namespace reef::backup::internal {

/// Writes all of `content` into an empty file, in the kernel where it has a descriptor, with holes where it has none of
/// its data or long runs of zeros. `shown_path` stands in messages.
void write_content(const Content& content, int fd, const std::filesystem::path& shown_path, unsigned threads);

}  // namespace reef::backup::internal
