#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/core/time.h"

namespace reef::model::internal {

/// A file of a cache, or a folder with all that is in it. Links are not followed.
struct FolderEntry {
  std::filesystem::path path;
  std::uint64_t bytes = 0;  ///< on the disk
  Time used{};              ///< the last time that a file of it was read or written

  /// Chosen to go by a run that was ended before it was gone, or never finished by whoever wrote it.
  bool is_leftover() const;
};
struct FolderContent {
  std::vector<FolderEntry> entries;  ///< leftovers first, then what was unused for longest
  bool is_readable = true;           ///< false: some of it may not be read, and what is there is more

  std::uint64_t bytes() const;
};
/// What vanishes meanwhile is not counted, a folder that is not there is empty.
FolderContent content_of(const std::filesystem::path& folder);

/// Who has a file of the entry open or mapped, or may have: "is in use by python3 (4127)". Empty: nobody has.
std::string use_of(const std::filesystem::path& entry);

/// Removes an entry that nobody uses. It loses its name first and is asked for again then; one that came into use is
/// put back. Empty: it is gone; else why not. Throws Error{failed} when it cannot be removed.
std::string remove_unused(const std::filesystem::path& entry);

}  // namespace reef::model::internal
