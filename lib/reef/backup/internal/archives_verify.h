#pragma once

#include <string>
#include <vector>

#include "reef/backup/archives.h"

namespace reef::backup::internal {

/// Oldest first.
std::vector<Snapshot> list_archives(io::ObjectStore& store);

VerifyReport verify_archives(const ArchivesOptions& archives, io::ObjectStore& store,
                             const std::vector<std::string>& ids, const VerifyOptions& options, Progress& progress);

}  // namespace reef::backup::internal
