#include "reef/model/internal/cache_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/lease.h"
#include "reef/model/internal/model_cache.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

Time later_of(const struct stat& status) {
  const auto in_time = [](const timespec& t) {
    return Time(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::seconds(t.tv_sec) +
                                                                      std::chrono::nanoseconds(t.tv_nsec)));
  };
  return std::max(in_time(status.st_atim), in_time(status.st_mtim));
}

/// Another filesystem, or a part of one, shows itself there: what it holds is not the cache's. Also of the same device.
bool is_mount(const fs::path& path) {
  struct statx status {};
  return ::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &status) == 0 &&
         (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/// Calls `visit` for what is no folder; false: some of it may not be read, or is a mount.
template <class Visit>
bool each_file(const fs::path& path, const Visit& visit) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return errno == ENOENT;
  if (is_mount(path)) return false;
  if (!S_ISDIR(status.st_mode)) {
    visit(path, status);
    return true;
  }
  check_interrupt();
  bool all = true;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    all = each_file(it->path(), visit) && all;
  return all && (!error || error == std::errc::no_such_file_or_directory);
}

}  // namespace

bool FolderEntry::is_leftover() const { return io::is_temporary_name(path.filename().native()); }

std::uint64_t FolderContent::bytes() const {
  std::uint64_t total = 0;
  for (const FolderEntry& entry : entries) total += entry.bytes;
  return total;
}

FolderContent content_of(const fs::path& folder) {
  FolderContent content;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    FolderEntry& entry = content.entries.emplace_back(FolderEntry{it->path(), 0, {}});
    const bool all = each_file(entry.path, [&](const fs::path&, const struct stat& status) {
      entry.bytes += static_cast<std::uint64_t>(status.st_blocks) * 512 / std::max<std::uint64_t>(1, status.st_nlink);
      entry.used = std::max(entry.used, later_of(status));
    });
    content.is_readable = content.is_readable && all;
    struct stat status {};
    if (entry.used == Time{} && ::lstat(entry.path.c_str(), &status) == 0) entry.used = later_of(status);  // empty
  }
  if (error && error != std::errc::no_such_file_or_directory) content.is_readable = false;
  std::sort(content.entries.begin(), content.entries.end(), [](const FolderEntry& a, const FolderEntry& b) {
    if (a.is_leftover() != b.is_leftover()) return a.is_leftover();
    return a.used != b.used ? a.used < b.used : a.path < b.path;
  });
  return content;
}

std::string use_of(const fs::path& entry) {
  std::string use;
  const bool all = each_file(entry, [&](const fs::path& path, const struct stat& status) {
    if (!use.empty() || !S_ISREG(status.st_mode)) return;
    const auto state = io::ExclusiveLease(path).state();
    if (state == io::ExclusiveLease::State::in_use) use = in_use_text(path);
    if (state == io::ExclusiveLease::State::unknown && fs::exists(fs::symlink_status(path)))
      use = "may be in use: it belongs to another user, or its filesystem cannot tell";
  });
  return use.empty() && !all ? "has a folder that may not be read, or another filesystem in it" : use;
}

std::string remove_unused(const fs::path& entry) {
  if (std::string use = use_of(entry); !use.empty()) return use;
  const bool has_name = !io::is_temporary_name(entry.filename().native());
  const fs::path aside = has_name ? io::temporary_name(entry) : entry;
  if (has_name && ::rename(entry.c_str(), aside.c_str()) != 0) {
    if (errno == ENOENT) return "";
    throw_errno("rename", io::shown(entry));
  }
  if (std::string use = use_of(aside); !use.empty()) {
    // Where a new one has its name meanwhile, a later run removes it.
    if (has_name) io::rename_new(aside, entry);
    return use;
  }
  std::error_code error;
  fs::remove_all(aside, error);
  if (error) throw Error(Errc::failed, fmt::format("remove {}: {}", io::shown(aside), error.message()));
  return "";
}

}  // namespace reef::model::internal
