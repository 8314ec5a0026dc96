#include "reef/model/internal/staged_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/file.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAside = ".replaced";  // ".<name>.replaced"

/// What the filesystem needs beside the files' bytes: folders, the manifest, block rounding.
constexpr std::uint64_t kSpareBytes = 4 << 20;

void rename_or_throw(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_errno("rename", io::shown(to));
}

}  // namespace

void require_space(const fs::path& folder, std::uint64_t bytes) {
  struct statvfs space {};
  if (::statvfs(folder.c_str(), &space) != 0) throw_errno("statvfs", io::shown(folder));
  const std::uint64_t available = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (available >= bytes + kSpareBytes) return;
  throw Error(
      Errc::failed,
      fmt::format("{}: the model takes {}, {} are free", io::shown(folder), format_size(bytes), format_size(available)),
      "free some space; nothing was copied");
}

StagedFolder::StagedFolder(fs::path path) : path_(std::move(path)) {
  if (::mkdir(path_.c_str(), 0750) != 0) throw_errno("create", io::shown(path_));
}

StagedFolder::~StagedFolder() {
  if (published_) return;
  std::error_code error;
  fs::remove_all(path_, error);
  if (error) log_warn("{} could not be removed: {}", io::shown(path_), error.message());
}

void StagedFolder::publish(const fs::path& target) {
  for (const auto& entry : fs::recursive_directory_iterator(path_)) {
    if (entry.is_directory()) io::sync_directory(entry.path());
  }
  io::sync_directory(path_);
  if (fs::exists(fs::symlink_status(target))) {
    replace(target);
  } else {
    rename_or_throw(path_, target);
    published_ = true;
  }
  io::sync_directory(target.parent_path());
}

void StagedFolder::replace(const fs::path& target) {
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    return;  // path_ now holds the old model, which the destructor removes
  }
  if (errno != EINVAL && errno != ENOSYS) throw_errno("rename", io::shown(target));
  // No temporary name: those are removed unseen, and for a moment it is the only one that is whole and was there
  // before.
  const fs::path aside = target.parent_path() / fmt::format(".{}{}", target.filename().string(), kAside);
  rename_or_throw(target, aside);
  if (::rename(path_.c_str(), target.c_str()) != 0) {
    const int reason = errno;
    ::rename(aside.c_str(), target.c_str());
    errno = reason;
    throw_errno("rename", io::shown(target));
  }
  published_ = true;
  std::error_code ignored;
  fs::remove_all(aside, ignored);
}

void restore_replaced(const fs::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') && name.ends_with(kAside)) found.push_back(name);
  }
  for (const std::string& name : found) {
    const fs::path aside = folder / name, target = folder / name.substr(1, name.size() - 1 - kAside.size());
    if (fs::exists(fs::symlink_status(target))) {
      fs::remove_all(aside);
    } else {
      rename_or_throw(aside, target);
      log_warn("{} is back: a run was killed while it was replaced", io::shown(target));
    }
    io::sync_directory(folder);
  }
}

}  // namespace reef::model::internal
