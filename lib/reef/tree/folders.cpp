#include "reef/tree/folders.h"

#include <sys/stat.h>

#include <cerrno>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::tree {
namespace {

namespace fs = std::filesystem;
constexpr unsigned kFolderMode = 02750;

}  // namespace

bool is_folder(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

void make_folders(const fs::path& path) {
  if (path.empty() || is_folder(path)) return;
  make_folders(path.parent_path());
  if (::mkdir(path.c_str(), 0750) != 0) {
    const int reason = errno;
    if (reason == EEXIST && is_folder(path)) return;  // another process was faster
    errno = reason;
    throw_errno("create", io::shown(path));
  }
  // Ask for the set-group bit apart: mkdir(2) drops it. Some filesystems refuse; --check tells.
  if (::chmod(path.c_str(), kFolderMode) != 0 && errno != EPERM) throw_errno("set the mode of", io::shown(path));
  io::sync_directory(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

}  // namespace reef::tree
