#include "reef/backup/internal/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

namespace fs = std::filesystem;
using io::UniqueFd;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

std::vector<std::string> names_in(UniqueFd folder, const fs::path& path) {
  const std::unique_ptr<DIR, CloseFolder> stream(::fdopendir(folder.get()));
  if (!stream) throw_errno("list", io::shown(path));
  folder.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  if (errno != 0) throw_errno("list", io::shown(path));
  return names;
}

void remove_entry(int parent, const std::string& name, const fs::path& path);

void remove_folder(int parent, const std::string& name, const fs::path& path) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd folder(::openat(parent, name.c_str(), kFlags));
  if (!folder && errno == EACCES && ::fchmodat(parent, name.c_str(), 0700, 0) == 0)
    folder.reset(::openat(parent, name.c_str(), kFlags));
  if (!folder) throw_errno("open", io::shown(path));
  struct stat status {};
  if (::fstat(folder.get(), &status) != 0) throw_errno("stat", io::shown(path));
  if ((status.st_mode & S_IRWXU) != S_IRWXU && ::fchmod(folder.get(), 0700) != 0) throw_errno("chmod", io::shown(path));
  UniqueFd listed(::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0));
  if (!listed) throw_errno("open", io::shown(path));
  for (const std::string& entry : names_in(std::move(listed), path)) {
    check_interrupt();
    remove_entry(folder.get(), entry, path / entry);
  }
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) throw_errno("remove", io::shown(path));
}

void remove_entry(int parent, const std::string& name, const fs::path& path) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return;
  if (errno != EISDIR) throw_errno("remove", io::shown(path));
  remove_folder(parent, name, path);
}

}  // namespace

void remove_tree(const fs::path& folder) { remove_entry(AT_FDCWD, folder.native(), folder); }

void remove_stale_trees(const fs::path& destination) {
  std::vector<fs::path> stale;
  std::error_code error;
  for (fs::directory_iterator entry(destination, error), end; !error && entry != end; entry.increment(error))
    if (io::is_temporary_name(entry->path().filename().native())) stale.push_back(entry->path());
  if (error) throw Error(Errc::failed, fmt::format("list {}: {}", io::shown(destination), error.message()));
  for (const fs::path& path : stale) remove_tree(path);
}

}  // namespace reef::backup::internal
