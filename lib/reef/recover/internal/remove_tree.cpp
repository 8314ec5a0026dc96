#include "reef/recover/internal/remove_tree.h"

#include <system_error>

namespace reef::recover::internal {

namespace fs = std::filesystem;

bool remove_tree(const fs::path& folder) noexcept {
  std::error_code error;
  fs::remove_all(folder, error);
  if (!error) return true;
  std::error_code ignored;
  try {
    fs::permissions(folder, fs::perms::owner_all, fs::perm_options::add, ignored);
    // A folder is opened after it was named, so that the right to read it comes in time.
    for (auto it = fs::recursive_directory_iterator(folder, ignored); it != fs::recursive_directory_iterator();
         it.increment(ignored))
      if (it->is_directory(ignored) && !it->is_symlink(ignored))
        fs::permissions(it->path(), fs::perms::owner_all, fs::perm_options::add, ignored);
    fs::remove_all(folder, error);
  } catch (const std::exception&) {
    return false;  // no memory for a path
  }
  return !error;
}

}  // namespace reef::recover::internal
