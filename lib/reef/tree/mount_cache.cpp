#include "reef/tree/mount_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"

namespace reef::tree {
namespace {

/// What the system is left with where nothing is configured.
constexpr std::uint64_t kMostByDefault = std::uint64_t{32} << 30;
constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_STRICTATIME;

std::uint64_t page_bytes() { return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)); }

struct stat stat_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_errno("read", io::shown(path));
  return status;
}

/// The folder, open: what is mounted there goes onto this one, wherever links lead meanwhile.
io::UniqueFd open_folder(const Tree& tree) {
  const fs::path folder = tree.model_cache();
  if (!is_folder(folder))
    throw Error(Errc::not_found, fmt::format("{} is not there", io::shown(folder)),
                fmt::format("run 'reef-init --root {}' first", io::shown(tree.root())));
  io::UniqueFd fd = io::open_file(folder, O_RDONLY | O_DIRECTORY);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw_errno("read", io::shown(folder));
  if (status.st_uid != stat_of(tree.root()).st_uid)
    throw Error(Errc::failed,
                fmt::format("{} belongs to user {}, the tree to user {}", io::shown(folder), status.st_uid,
                            stat_of(tree.root()).st_uid),
                "'reef-init --check' says how to put that right");
  return fd;
}

/// Links may be hidden: they are made anew.
void require_no_files(const fs::path& folder, const fs::path& looked_at) {
  std::uint64_t files = 0, bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(looked_at)) {
    if (entry.is_symlink() || !entry.is_regular_file()) continue;
    ++files;
    bytes += entry.file_size();
  }
  if (files == 0) return;
  throw Error(
      Errc::failed,
      fmt::format("{} holds {} {} of {}, which a mount would hide", io::shown(folder), files,
                  files == 1 ? "file" : "files", format_size(bytes)),
      fmt::format("it is a cache: empty it with 'find {} -xdev -mindepth 1 -delete', then run the command again",
                  io::shown(folder)));
}

/// Of a systemd unit: what is no letter, digit, colon, underscore or inner dot is escaped, slashes are hyphens.
std::string unit_name_of(const fs::path& path) {
  std::string name;
  for (const char c : path.string().substr(1)) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' ||
                          c == '_' || (c == '.' && !name.empty());
    if (c == '/')
      name += '-';
    else
      name += is_plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return name + ".mount";
}

/// A path as the value of a setting.
std::string in_unit(const std::string& path) {
  std::string value;
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\\')
      throw Error(Errc::usage, fmt::format("{} cannot stand in a unit of systemd", io::shown(path)),
                  "move the tree to a path without control characters and backslashes");
    value += c == '%' ? "%%" : std::string(1, c);
  }
  return value;
}

/// A kernel without huge pages for a tmpfs refuses the option.
bool has_huge_pages() { return fs::exists("/sys/kernel/mm/transparent_hugepage/shmem_enabled"); }

/// Those of a tmpfs; kFlags are the others.
std::string own_options(const CacheMount& mount, const struct stat& owner) {
  return fmt::format("size={},{}mode=2750,uid={},gid={}", mount.size_bytes, has_huge_pages() ? "huge=always," : "",
                     owner.st_uid, owner.st_gid);
}

CacheMount wanted(const Tree& tree, const Config& config) {
  CacheMount mount;
  mount.path = fs::canonical(tree.model_cache()).string();
  mount.size_bytes = (memory_for_models(config) + page_bytes() - 1) / page_bytes() * page_bytes();
  mount.options = own_options(mount, stat_of(tree.root())) + ",strictatime,nosuid,nodev,noexec";
  mount.unit_name = unit_name_of(mount.path);
  return mount;
}

/// Whether the folder is a filesystem of its own.
bool is_mounted(int folder) {
  struct stat own {
  }, above{};
  return ::fstat(folder, &own) == 0 && ::fstatat(folder, "..", &above, 0) == 0 && own.st_dev != above.st_dev;
}

struct Plan {
  CacheMount mount;
  bool resizes = false;
};

Plan make_plan(const Tree& tree, const Config& config, int folder) {
  Plan plan{wanted(tree, config)};
  struct statfs space {};
  if (::fstatfs(folder, &space) != 0) throw_errno("read", io::shown(plan.mount.path));
  const bool in_memory = space.f_type == TMPFS_MAGIC;
  if (!is_mounted(folder)) {
    if (in_memory) return plan;  // the tree is, or a link leads there
    require_no_files(plan.mount.path, plan.mount.path);
    plan.mount.about = "new";
    return plan;
  }
  if (!in_memory)
    throw Error(Errc::failed, fmt::format("another filesystem is mounted at {}", io::shown(plan.mount.path)),
                fmt::format("unmount it with 'umount {}', then run the command again", io::shown(plan.mount.path)));
  if (fs::is_symlink(tree.model_cache())) return plan;  // not ours to resize
  const std::uint64_t size = std::uint64_t{space.f_blocks} * static_cast<std::uint64_t>(space.f_bsize);
  plan.resizes = size != plan.mount.size_bytes;
  if (plan.resizes) plan.mount.about = format_size(size) + " before";
  return plan;
}

[[noreturn]] void fail_mount(const Tree& tree, const CacheMount& mount) {
  const int reason = errno;
  if (reason == EPERM || reason == EACCES)
    throw Error(Errc::failed, fmt::format("mount a tmpfs at {}: only root may", io::shown(mount.path)),
                fmt::format("run 'sudo reef-init --root {} --mount-cache'; without it the plain folder serves",
                            io::shown(tree.root())));
  errno = reason;
  throw_errno("mount a tmpfs at", io::shown(mount.path));
}

void resize(const Tree& tree, const CacheMount& mount, const std::string& target) {
  if (::mount(nullptr, target.c_str(), nullptr, MS_REMOUNT | kFlags,
              fmt::format("size={}", mount.size_bytes).c_str()) == 0)
    return;
  if (errno == EINVAL)
    throw Error(Errc::failed,
                fmt::format("{} holds more than {}", io::shown(mount.path), format_size(mount.size_bytes)),
                "make room with 'reef-model cache trim' or 'cache evict', then run the command again");
  fail_mount(tree, mount);
}

/// `target` is the folder below, also afterwards: it shows what a load put there just before.
void mount_new(const Tree& tree, const CacheMount& mount, const std::string& target, const std::string& options) {
  if (::mount("tmpfs", target.c_str(), "tmpfs", kFlags, options.c_str()) != 0) fail_mount(tree, mount);
  try {
    require_no_files(mount.path, target + "/");
  } catch (const Error&) {
    ::umount2(mount.path.c_str(), MNT_DETACH);
    throw;
  }
}

}  // namespace

std::uint64_t memory_for_models(const Config& config) {
  if (const std::uint64_t cap = config.size_bytes("system", "cache.model.cap_bytes"); cap > 0) return cap;
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  return std::min(kMostByDefault, pages / 2 * page_bytes());
}

CacheMount plan_cache_mount(const Tree& tree, const Config& config) {
  return make_plan(tree, config, open_folder(tree).get()).mount;
}

CacheMount apply_cache_mount(const Tree& tree, const Config& config) {
  // One mount must not come over another. The root folder itself: root makes no file in somebody else's tree.
  const io::UniqueFd lock = io::open_file(tree.root(), O_RDONLY | O_DIRECTORY);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw_errno("lock", io::shown(tree.root()));
    throw Error(Errc::locked, fmt::format("another run mounts at {}", io::shown(tree.model_cache())),
                "wait for that run to end");
  }
  const io::UniqueFd folder = open_folder(tree);
  Plan steps = make_plan(tree, config, folder.get());
  CacheMount& mount = steps.mount;
  if (!mount.about.empty()) {
    const std::string target = fmt::format("/proc/self/fd/{}", folder.get());
    const std::string options = own_options(mount, stat_of(tree.root()));
    if (steps.resizes)
      resize(tree, mount, target);
    else
      mount_new(tree, mount, target, options);
    if (!has_huge_pages()) log_warn("the kernel has no huge pages for a tmpfs: loading and mapping models take longer");
  }
  mount.applied = true;
  return mount;
}

MountUnit write_mount_unit(const Tree& tree, const Config& config, const std::string& folder, bool dry_run) {
  open_folder(tree);
  MountUnit unit{wanted(tree, config), "", "", false, !dry_run};
  const std::string where = in_unit(unit.mount.path);
  unit.content = fmt::format(
      "# {}: written by 'reef-init --mount-unit', see reef-init(1).\n"
      "[Unit]\nDescription=Models in memory, of the storage tree of reef at {}\nDocumentation=man:reef-init(1)\n\n"
      "[Mount]\nWhat=tmpfs\nWhere={}\nType=tmpfs\nOptions={}\n\n"
      "[Install]\nWantedBy=local-fs.target\n",
      unit.mount.unit_name, in_unit(tree.root().string()), where, unit.mount.options);
  if (folder == "-") return unit;
  if (!is_folder(folder))
    throw Error(Errc::not_found, fmt::format("{} is no folder", io::shown(folder)),
                "units of this machine are in /etc/systemd/system; '-' prints this one");
  const fs::path file = fs::absolute(folder) / unit.mount.unit_name;
  unit.file = file.string();
  std::string present;
  try {
    present = io::read_file(file, 1 << 20);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
  }
  if (!present.empty() && present.find("written by 'reef-init --mount-unit'") == std::string::npos)
    throw Error(Errc::failed, fmt::format("{} was not written by reef-init", io::shown(file)),
                "remove it, then run the command again");
  unit.has_changed = present != unit.content;
  if (unit.has_changed && !dry_run) io::replace_file(file, unit.content, 0644);
  return unit;
}

}  // namespace reef::tree
