#pragma once

#include <memory>
#include <optional>

#include "reef/backup/archives.h"

namespace reef::backup::internal {

/// What keeps other runs away from the store.
struct ArchivesLock {
  std::optional<Destination> destination;
  std::optional<io::LockFile> file;
};
ArchivesLock lock_archives(const ArchivesOptions& options);

/// Makes the folder where things are on their way, and removes what killed runs left in it.
void prepare_scratch(const fs::path& scratch);

/// `store` must outlive it. Takes the lock.
std::unique_ptr<SnapshotWriter> begin_archive(const ArchivesOptions& options, io::ObjectStore& store, Time now,
                                              Progress& progress);

}  // namespace reef::backup::internal
