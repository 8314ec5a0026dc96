#pragma once

#include <cstdint>
#include <filesystem>

#include "reef/core/progress.h"

namespace reef::document::internal {

/// Bytes that a copy of a store takes; links to one file count once.
std::uint64_t store_bytes(const std::filesystem::path& folder);
/// Whether there is a metadata.sqlite with content.
bool holds_store(const std::filesystem::path& folder);

/// Checks a store that was just written, and brings its WAL into its database. Throws Error{corrupt}.
void verify_copy(const std::filesystem::path& folder);

/// Copies the files of a store into `to`, a new folder, durably and with their links to each other, then reads both and
/// compares, and verifies the copy. The caller holds the lock of `from`, and no SQLite connection to it. Progress
/// advances by three times store_bytes().
///
/// Throws Error{failed} when the copy is not what was copied, Error{corrupt} for a store that is damaged itself.
void copy_store(const std::filesystem::path& from, const std::filesystem::path& to, Progress& progress);

}  // namespace reef::document::internal
