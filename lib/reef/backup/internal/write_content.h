#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "reef/backup/entry.h"

namespace reef::backup::internal {

/// Writes all of `content` into an empty file, in the kernel where it has a descriptor, with holes where it has none of
/// its data or long runs of zeros. `shown_path` stands in messages.
void write_content(const Content& content, int fd, const std::filesystem::path& shown_path, unsigned threads);

/// Writes bytes of a new file, without its long runs of zeros: they stay holes.
void write_data(int fd, std::span<const std::uint8_t> bytes, std::uint64_t offset,
                const std::filesystem::path& shown_path);
/// Makes a file as long as its content, where that ends with a hole.
void end_with_hole(int fd, std::uint64_t size, const std::filesystem::path& shown_path);

}  // namespace reef::backup::internal
