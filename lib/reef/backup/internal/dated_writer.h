#pragma once

#include <memory>

#include "reef/backup/destination.h"
#include "reef/backup/snapshot_store.h"

namespace reef::backup::internal {

/// A snapshot of DatedFolders in the making.
std::unique_ptr<SnapshotWriter> write_dated(Destination destination, Time now);

}  // namespace reef::backup::internal
