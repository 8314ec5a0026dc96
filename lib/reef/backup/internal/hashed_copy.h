#pragma once

#include <filesystem>

#include "reef/backup/entry.h"
#include "reef/io/checksum.h"

namespace reef::backup::internal {

/// Writes all of `content` into an empty file, holes and long runs of zeros as holes, and returns the digest of what
/// was written. Read and written here, hashed by a second thread where that pays; the kernel is asked to begin writing
/// back at once, so that less is left to wait for at the end. `shown` stands in messages.
io::Sha256Digest copy_hashed(const Content& content, int fd, const std::filesystem::path& shown);

}  // namespace reef::backup::internal
