#pragma once

#include "reef/backup/snapshot_store.h"

namespace reef::backup::internal {

/// What DatedFolders::verify() finds in snapshots at a destination, and notes beside them where it may write.
VerifyReport verify_dated(const fs::path& destination, const std::vector<std::string>& ids,
                          const VerifyOptions& options, Progress& progress);

}  // namespace reef::backup::internal
