#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "reef/io/checksum.h"
#include "reef/tree/tree.h"

namespace reef::session::internal {

/// data/conversations/SESSION/, what programs keep beside a session.
std::filesystem::path attachments_folder(const tree::Tree& tree, const std::string& session);
/// Files in a folder and below it; 0 when there is none.
std::uint64_t count_files(const std::filesystem::path& folder);
/// Copies a folder so that every file is synced and compared; one that is there must be equal. Throws Error{usage} for
/// anything but files and folders in it, and for a different file of a name.
void copy_files(const std::filesystem::path& from, const std::filesystem::path& to);
/// Compares a synced copy, read from its drive as far as the kernel lets its pages go, with what was to be written.
/// Error{corrupt} that names `target`.
void require_readable(const std::filesystem::path& copy, const io::Sha256Digest& digest,
                      const std::filesystem::path& target);
/// Removes a folder so that it is gone as a whole: a kill leaves what io::remove_stale() finds beside it. Throws
/// Error{usage} for what is none.
void remove_folder(const std::filesystem::path& folder);
/// Removes a file, durably; nothing when there is none.
void remove_file(const std::filesystem::path& file);

}  // namespace reef::session::internal
