#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "reef/model/internal/chunk_check.h"

namespace reef::model::internal {

/// A file, all of whose chunks have digests, that is read once and compared with them meanwhile.
struct VerifiedSource {
  const CheckedFile& file;
  const std::string& model;  ///< for messages
};

using OnBytes = std::function<void(std::uint64_t)>;

/// Writes the source into the memory of a file on a tmpfs, open for reading and writing, by all threads at once and
/// straight from the drive. What it held is overwritten: its pages are used again. Throws Error{corrupt} naming the
/// first faulty chunk met, Error{failed} when there is no room.
void copy_into_memory(const VerifiedSource& source, int fd, const std::filesystem::path& target, unsigned threads,
                      const OnBytes& on_bytes);
/// The same into any file, past the page cache.
void copy_by_all(const VerifiedSource& source, const std::filesystem::path& target, unsigned threads,
                 const OnBytes& on_bytes);
/// One chunk after the other.
void copy_in_order(const VerifiedSource& source, const std::filesystem::path& target, const OnBytes& on_bytes);
/// Brings the source into the page cache.
void bring_into_page_cache(const VerifiedSource& source, unsigned threads, const OnBytes& on_bytes);

}  // namespace reef::model::internal
