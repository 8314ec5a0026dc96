#include "reef/backup/destination.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

#include "reef/backup/internal/marker.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/text.h"
#include "reef/core/units.h"

namespace reef::backup {
namespace {

using internal::Marker;

constexpr std::uint64_t kMostReserve = std::uint64_t{1} << 30;
constexpr std::uint64_t kReservePart = 100;  // 1 %

[[noreturn]] void refuse(const fs::path& folder, const std::string& why, const std::string& hint) {
  throw Error(Errc::failed, fmt::format("{} {}", io::shown(folder), why), hint);
}

/// The folder under its real name.
fs::path real_folder(const fs::path& folder, int tier) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(folder, error);
  if (status.type() == fs::file_type::not_found)
    throw Error(Errc::not_found, fmt::format("the destination {} of tier {} is not there", io::shown(folder), tier),
                "mount its drive, or make the folder with mkdir, where no drive is to be mounted");
  if (error) throw Error(Errc::failed, fmt::format("look at {}: {}", io::shown(folder), error.message()));
  if (status.type() == fs::file_type::symlink)
    throw Error(Errc::usage, fmt::format("{} is a symbolic link", io::shown(folder)),
                "name the folder that it leads to: a link to a drive that is not mounted leads elsewhere");
  if (status.type() != fs::file_type::directory)
    throw Error(Errc::usage, fmt::format("{} is not a folder", io::shown(folder)), "name one");
  fs::path real = fs::canonical(folder, error);
  if (error) throw Error(Errc::failed, fmt::format("look at {}: {}", io::shown(folder), error.message()));
  return real;
}

bool is_within(const fs::path& path, const fs::path& folder) {
  const auto [in_folder, in_path] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return in_folder == folder.end();
}

/// Empty, as a new drive is.
bool holds_nothing(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    // What a run left that was killed before it had made the marker.
    const bool ours = name == kDestinationLock || io::is_temporary_name(name);
    if (name != "lost+found" && !ours) return false;
  }
  if (error) throw Error(Errc::failed, fmt::format("list {}: {}", io::shown(folder), error.message()));
  return true;
}

class MarkerCheck {
 public:
  MarkerCheck(const fs::path& folder, int tier, const DestinationOptions& options, const Marker& ours)
      : folder_(folder), tier_(tier), options_(options), ours_(ours) {}

  /// The marker of a folder that may be written to; nullopt where it is to be made. Throws for all others.
  std::optional<Marker> operator()() const {
    std::optional<Marker> marker;
    try {
      marker = internal::read_marker(folder_);
    } catch (const Error& error) {
      if (error.code() == Errc::corrupt && options_.adopt) return std::nullopt;
      throw;
    }
    if (marker)
      check(*marker);
    else
      check_unmarked();
    return marker;
  }

 private:
  void check(const Marker& marker) const {
    if (marker.tier != tier_)
      refuse(folder_, fmt::format("holds the snapshots of tier {}, and these are of tier {}", marker.tier, tier_),
             "give each tier a folder of its own");
    if (options_.adopt || marker.id == options_.known_id) return;
    if (!options_.known_id.empty())
      refuse(folder_,
             fmt::format("is destination {}, and tier {} went to {} last", marker.id, tier_, options_.known_id),
             "mount the other drive, or pass --adopt to go on with this one");
    if (marker.host != ours_.host || marker.tree != ours_.tree)
      refuse(folder_, fmt::format("holds the snapshots of {} on {}", io::shown(marker.tree), io::shown(marker.host)),
             "name an empty folder, or pass --adopt if that tree is this one now");
  }

  void check_unmarked() const {
    if (!holds_nothing(folder_))
      refuse(folder_, fmt::format("has files in it and no marker ({}): it is no destination", kDestinationMarker),
             "name an empty folder");
    if (options_.known_id.empty() || options_.adopt) return;
    refuse(
        folder_,
        fmt::format("is empty, and tier {} went to destination {}: its drive is not mounted", tier_, options_.known_id),
        "mount it, or pass --adopt to begin anew on another drive");
  }

  const fs::path& folder_;
  int tier_;
  const DestinationOptions& options_;
  const Marker& ours_;
};

std::unique_ptr<io::LockFile> take_lock(const fs::path& folder, std::chrono::milliseconds wait) {
  try {
    return std::make_unique<io::LockFile>(folder / kDestinationLock, wait);
  } catch (const Error& error) {
    if (error.code() != Errc::failed || !error.hint().empty()) throw;
    throw Error(Errc::failed, error.what(),
                "two runs must never write there at once: mount NFS with locks (no nolock), CIFS without nobrl");
  }
}

struct statvfs filesystem_of(const fs::path& folder) {
  struct statvfs status {};
  while (::statvfs(folder.c_str(), &status) != 0)
    if (errno != EINTR) throw_errno("ask for the free space of", io::shown(folder));
  return status;
}

dev_t device_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_errno("stat", io::shown(path));
  return status.st_dev;
}

}  // namespace

Destination Destination::open_for_writing(const fs::path& folder, int tier, const DestinationOptions& options) {
  Destination destination(real_folder(folder, tier), tier);
  const fs::path root = fs::weakly_canonical(options.tree);
  if (is_within(destination.folder_, root))
    throw Error(Errc::usage,
                fmt::format("the destination {} lies in the tree {}, which would back up its own backups",
                            io::shown(folder), io::shown(root)),
                "name a folder outside of it, on another drive");
  const Marker ours{tier, {}, internal::host_name(), to_valid_utf8(root.native())};
  const MarkerCheck check(destination.folder_, tier, options, ours);
  check();  // before the lock, whose file must not appear where a drive is to be mounted
  destination.lock_ = take_lock(destination.folder_, options.wait);
  std::optional<Marker> marker = check();
  if (!marker) {
    marker = ours;
    marker->id = internal::new_id();
    internal::write_marker(destination.folder_, *marker);
    destination.new_ = true;
  }
  destination.id_ = marker->id;
  return destination;
}

Destination Destination::open_for_reading(const fs::path& folder, int tier) {
  Destination destination(real_folder(folder, tier), tier);
  std::optional<Marker> marker;
  try {
    marker = internal::read_marker(destination.folder_);
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    destination.fault_ = error.what();
    return destination;
  }
  if (!marker)
    throw Error(Errc::not_found,
                fmt::format("{} has no marker ({}): there are no backups", io::shown(folder), kDestinationMarker),
                "mount its drive, or name the folder that has it");
  if (marker->tier != tier)
    throw Error(Errc::failed,
                fmt::format("{} holds the snapshots of tier {}, not of tier {}", io::shown(folder), marker->tier, tier),
                fmt::format("pass --tier {}, or name another folder", marker->tier));
  destination.id_ = marker->id;
  return destination;
}

std::uint64_t Destination::free_bytes() const {
  const struct statvfs status = filesystem_of(folder_);
  const std::uint64_t free = std::uint64_t{status.f_bavail} * status.f_frsize;
  const std::uint64_t total = std::uint64_t{status.f_blocks} * status.f_frsize;
  return free - std::min(free, std::min(total / kReservePart, kMostReserve));
}

void Destination::require_room(std::uint64_t bytes) const {
  const std::uint64_t free = free_bytes();
  if (bytes <= free) return;
  refuse(folder_, fmt::format("has room for {}, and {} are to be written", format_size(free), format_size(bytes)),
         fmt::format("remove old snapshots with 'reef-backup prune --tier {}', which needs no room, or name a larger "
                     "drive",
                     tier_));
}

bool Destination::is_same_filesystem(const fs::path& root) const { return device_of(folder_) == device_of(root); }

Durability durability_of(int fd, const fs::path& path) {
  struct statfs status {};
  while (::fstatfs(fd, &status) != 0)
    if (errno != EINTR) throw_errno("stat", io::shown(path));
  if (io::plain_io()) return Durability::each_file;
  switch (static_cast<unsigned>(status.f_type)) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case MSDOS_SUPER_MAGIC:
    case EXFAT_SUPER_MAGIC:
      return Durability::whole;
    default:
      return Durability::each_file;
  }
}

}  // namespace reef::backup
