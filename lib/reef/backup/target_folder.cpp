#include "reef/backup/target_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <string_view>

#include "reef/backup/destination.h"
#include "reef/backup/internal/folder_walk.h"
#include "reef/backup/internal/write_content.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup {
namespace {

using io::UniqueFd;

constexpr unsigned kPermissions = 07777;
constexpr unsigned kSetIds = 06000;

[[noreturn]] void throw_foreign(const std::string& path, std::string_view why) {
  throw Error(Errc::corrupt, fmt::format("the snapshot has an entry {}, {}", io::shown(path), why),
              "no backup of a tree holds this: verify the snapshot, or take another");
}

std::vector<std::string> names_of(const std::string& path) {
  auto names = internal::names_of(path);
  if (!names) throw_foreign(path, "whose name cannot be");
  return std::move(*names);
}

/// An attribute that a filesystem does not have (FAT, some network ones) is no reason to restore nothing.
bool is_unsupported(int error) { return error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EINVAL; }

timespec to_timespec(std::int64_t ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::int64_t rest = ((ns % kSecond) + kSecond) % kSecond;
  return {(ns - rest) / kSecond, rest};
}

}  // namespace

class TargetFolder::Impl {
 public:
  Impl(const fs::path& folder, TargetOptions options) : folder_(folder), options_(options) {
    fs::path plain = folder_.lexically_normal();
    if (!plain.has_filename()) plain = plain.parent_path();
    if (::mkdir(plain.c_str(), 0700) == 0)
      is_new_ = true;
    else if (errno != EEXIST)
      throw_errno("create", io::shown(folder_));
    walk_ = internal::FolderWalk(io::open_file(folder_, O_RDONLY | O_DIRECTORY));
    durability_ = durability_of(walk_.root(), folder_);
    if (is_new_) io::sync_directory(plain.has_parent_path() ? plain.parent_path() : fs::path("."));
  }

  bool is_new() const { return is_new_; }

  void put(const Entry& entry, Content* content) {
    check_interrupt();
    if (entry.path.empty()) {
      if (entry.type != EntryType::folder) throw_foreign(entry.path, "the tree itself, that is no folder");
      if (is_new_) folders_.push_back(entry);
      return;
    }
    const std::vector<std::string> names = names_of(entry.path);
    const int parent = folder_of(names, entry.path);
    note_change(entry.path);
    switch (entry.type) {
      case EntryType::folder:
        return put_folder(entry, parent, names.back());
      case EntryType::link:
        return put_link(entry, parent, names.back());
      case EntryType::file:
        if (!entry.same_file_as.empty()) return put_hard_link(entry, parent, names.back());
        if (content == nullptr) throw_foreign(entry.path, "a file without content");
        return put_file(entry, *content, parent, names.back());
    }
  }

  bool link(const Entry& entry, int folder, const std::string& name) {
    const std::vector<std::string> names = names_of(entry.path);
    if (::linkat(folder, name.c_str(), folder_of(names, entry.path), names.back().c_str(), 0) != 0) return false;
    note_change(entry.path);
    ++report_.files;
    return true;
  }

  TargetReport finish() {
    for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) {
      check_interrupt();
      const UniqueFd fd = open_folder(folder->path);
      set_attributes(fd.get(), *folder);
      if (durability_ == Durability::each_file) sync(fd.get(), folder->path);
      changed_.erase(folder->path);
    }
    // One flush of the filesystem, where as many as there are files and folders would wait for each.
    if (durability_ == Durability::whole && ::syncfs(walk_.root()) != 0) throw_errno("sync", io::shown(folder_));
    for (const std::string& path : changed_) {
      const UniqueFd fd = open_folder(path);
      sync(fd.get(), path);
    }
    walk_.forget();
    return report_;
  }

 private:
  std::string where(const std::string& path) const { return io::shown(folder_ / path); }

  int folder_of(const std::vector<std::string>& names, const std::string& path) {
    const int folder = walk_.parent_of(names);
    if (folder >= 0) return folder;
    if (errno == ENOENT) throw_foreign(path, "and none for the folder that it lies in");
    if (errno == ELOOP || errno == ENOTDIR) throw_in_the_way(path, "a folder of it is a link or a file here");
    throw_errno("open", where(path));
  }

  UniqueFd open_folder(const std::string& path) {
    std::vector<std::string> names{"."};
    if (!path.empty()) names = names_of(path);
    const int parent = folder_of(names, path);
    UniqueFd fd(::openat(parent, names.back().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) throw_errno("open", where(path));
    return fd;
  }

  void sync(int folder, const std::string& path) const {
    if (::fsync(folder) != 0 && errno != EINVAL) throw_errno("fsync", where(path));
  }

  /// What lies in a folder has changed, where each folder must be made durable by itself.
  void note_change(const std::string& path) {
    if (durability_ == Durability::whole) return;
    const std::size_t end = path.rfind('/');
    changed_.insert(end == std::string::npos ? std::string() : path.substr(0, end));
  }

  [[noreturn]] void throw_in_the_way(const std::string& path, std::string_view what) const {
    throw Error(Errc::usage, fmt::format("{}: {}", where(path), what),
                "move it out of the way, or name another folder with -o");
  }
  [[noreturn]] void throw_there(const std::string& path) const {
    throw Error(Errc::usage, fmt::format("{} is there already", where(path)),
                "pass --force to replace files, or name another folder with -o");
  }

  void put_folder(const Entry& entry, int parent, const std::string& name) {
    ++report_.folders;
    if (::mkdirat(parent, name.c_str(), 0700) == 0) {
      folders_.push_back(entry);
      return;
    }
    if (errno != EEXIST) throw_errno("create", where(entry.path));
    struct stat status {};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) throw_errno("stat", where(entry.path));
    if (!S_ISDIR(status.st_mode)) throw_in_the_way(entry.path, "there is something that is no folder");
  }

  /// Makes something new by `make`, which is given a name: the final one in a folder that is ours alone, else a
  /// temporary one that is then renamed.
  template <typename Make>
  void publish(const Entry& entry, int parent, const std::string& name, Make make) {
    if (is_new_) {
      if (make(name)) return;
      if (errno == EEXIST) throw_there(entry.path);
      throw_errno("create", where(entry.path));
    }
    std::string temporary;
    do {  // one of that name was left by a run that was killed
      temporary = fmt::format(".reef-{}-{}.tmp", ::getpid(), ++temporaries_);
      if (make(temporary)) break;
      if (errno != EEXIST) throw_errno("create", where(entry.path));
    } while (true);
    if (rename(parent, temporary, name)) return;
    const int error = errno;
    ::unlinkat(parent, temporary.c_str(), 0);
    errno = error;
    if (error == EEXIST) throw_there(entry.path);
    if (error == EISDIR) throw_in_the_way(entry.path, "there is a folder");
    throw_errno("rename to", where(entry.path));
  }

  bool rename(int parent, const std::string& from, const std::string& to) const {
    if (options_.replace) {
      if (::renameat(parent, from.c_str(), parent, to.c_str()) != 0) return false;
      ::unlinkat(parent, from.c_str(), 0);  // two links to one file are left as they are by rename(2)
      return true;
    }
    if (::renameat2(parent, from.c_str(), parent, to.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL && errno != ENOSYS) return false;
    // A filesystem that cannot refuse to replace (networks, mostly).
    struct stat status {};
    if (::fstatat(parent, to.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      errno = EEXIST;
      return false;
    }
    return ::renameat(parent, from.c_str(), parent, to.c_str()) == 0;
  }

  void put_file(const Entry& entry, Content& content, int parent, const std::string& name) {
    publish(entry, parent, name, [&](const std::string& as) {
      const UniqueFd fd(::openat(parent, as.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (!fd) return false;
      try {
        if (options_.write)
          options_.write(content, fd.get(), folder_ / entry.path);
        else
          internal::write_content(content, fd.get(), folder_ / entry.path, options_.threads);
        content.finish();
        set_attributes(fd.get(), entry);
        // What is replaced must not be lost with the machine before finish().
        if ((options_.replace && !is_new_) || durability_ == Durability::each_file)
          io::sync_file(fd.get(), folder_ / entry.path);
      } catch (...) {
        ::unlinkat(parent, as.c_str(), 0);
        throw;
      }
      return true;
    });
    ++report_.files;
    report_.bytes += content.size_bytes();
  }

  void put_link(const Entry& entry, int parent, const std::string& name) {
    if (entry.link_target.empty() || entry.link_target.find('\0') != std::string::npos)
      throw_foreign(entry.path, "a link to nothing");
    publish(entry, parent, name, [&](const std::string& as) {
      if (::symlinkat(entry.link_target.c_str(), parent, as.c_str()) != 0) return false;
      if (::geteuid() == 0 && ::fchownat(parent, as.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0 &&
          !is_unsupported(errno))
        throw_errno("set the owner of", where(entry.path));
      const timespec times[2] = {{0, UTIME_OMIT}, to_timespec(entry.modified_ns)};
      if (::utimensat(parent, as.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0 && !is_unsupported(errno))
        throw_errno("set the time of", where(entry.path));
      return true;
    });
    ++report_.links;
  }

  void put_hard_link(const Entry& entry, int parent, const std::string& name) {
    std::vector<std::string> names = names_of(entry.same_file_as);
    UniqueFd folder;
    for (std::size_t i = 0; i + 1 < names.size(); ++i) {
      folder = UniqueFd(::openat(folder ? folder.get() : walk_.root(), names[i].c_str(),
                                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!folder) throw_lost_link(entry);
    }
    const int from = folder ? folder.get() : walk_.root();
    publish(entry, parent, name, [&](const std::string& as) {
      if (::linkat(from, names.back().c_str(), parent, as.c_str(), 0) == 0) return true;
      if (errno == ENOENT || errno == ENOTDIR) throw_lost_link(entry);
      if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK && errno != EXDEV) return false;
      const UniqueFd other(::openat(from, names.back().c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
      if (!other) throw_lost_link(entry);
      if (!copy_of(other.get(), entry, parent, as)) return false;
      ++report_.links_copied;
      return true;
    });
    ++report_.files;
  }

  [[noreturn]] static void throw_lost_link(const Entry& entry) {
    throw_foreign(entry.path,
                  fmt::format("a hard link to {}, which was not put before it", io::shown(entry.same_file_as)));
  }

  bool copy_of(int from, const Entry& entry, int parent, const std::string& as) const {
    const UniqueFd fd(::openat(parent, as.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return false;
    try {
      io::copy_contents(from, fd.get(), folder_ / entry.same_file_as, folder_ / entry.path);
      set_attributes(fd.get(), entry);
    } catch (...) {
      ::unlinkat(parent, as.c_str(), 0);
      throw;
    }
    return true;
  }

  void set_attributes(int fd, const Entry& entry) const {
    unsigned mode = entry.mode & kPermissions;
    const bool is_root = ::geteuid() == 0;
    const uid_t uid = is_root ? entry.uid : static_cast<uid_t>(-1);
    const bool owned = (is_root || entry.uid == ::geteuid()) && ::fchown(fd, uid, entry.gid) == 0;
    // Somebody else's program must not run with our rights; on a folder the bit only says whose group new files have.
    if (!owned && entry.type == EntryType::file) mode &= ~kSetIds;
    if (::fchmod(fd, mode) != 0 && !is_unsupported(errno)) throw_errno("set the mode of", where(entry.path));
    const timespec times[2] = {{0, UTIME_OMIT}, to_timespec(entry.modified_ns)};
    if (::futimens(fd, times) != 0 && !is_unsupported(errno)) throw_errno("set the time of", where(entry.path));
  }

  fs::path folder_;
  TargetOptions options_;
  bool is_new_ = false;
  internal::FolderWalk walk_{UniqueFd()};
  Durability durability_ = Durability::whole;
  std::vector<Entry> folders_;     ///< that this object made
  std::set<std::string> changed_;  ///< folders, where each must be made durable by itself
  std::uint64_t temporaries_ = 0;
  TargetReport report_;
};

TargetFolder::TargetFolder(const fs::path& folder, TargetOptions options)
    : impl_(std::make_unique<Impl>(folder, options)) {}
TargetFolder::~TargetFolder() = default;
void TargetFolder::put(const Entry& entry, Content* content) { impl_->put(entry, content); }
bool TargetFolder::link(const Entry& entry, int folder, const std::string& name) {
  return impl_->link(entry, folder, name);
}
TargetReport TargetFolder::finish() { return impl_->finish(); }
bool TargetFolder::is_new() const { return impl_->is_new(); }

}  // namespace reef::backup
