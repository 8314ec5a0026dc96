#include "reef/persona/internal/folders.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "reef/core/error.h"
#include "reef/tree/folders.h"
#include "reef/tree/shards.h"

namespace reef::persona::internal {
namespace {

bool is_link(const fs::path& path) {
  std::error_code ignored;
  return fs::is_symlink(path, ignored);
}

void remove_link(const fs::path& link) {
  if (::unlink(link.c_str()) != 0 && errno != ENOENT) throw_errno("remove", io::shown(link));
  io::sync_directory(link.parent_path());
}

/// As reef-init makes it, or a run that only took its lock.
void remove_empty(const fs::path& folder) {
  if (!is_there(folder) || is_link(folder) || is_taken(folder)) return;
  const fs::path lock = folder / ".lock";
  if (::unlink(lock.c_str()) != 0 && errno != ENOENT) throw_errno("remove", io::shown(lock));
  if (::rmdir(folder.c_str()) != 0) throw_errno("remove", io::shown(folder));
}

}  // namespace

std::vector<io::LockFile> lock_stores(const tree::Tree& tree, const std::string& persona,
                                      std::chrono::milliseconds wait) {
  std::vector<io::LockFile> locks;
  locks.emplace_back(tree::ShardMap::lock_file(tree), wait);
  for (const fs::path& folder :
       {tree.vectors(tree::Scope::persona(persona)), tree.turns(persona), tree.memories(persona)})
    if (tree::is_folder(folder)) locks.emplace_back(folder / ".lock", wait);
  return locks;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

bool is_taken(const fs::path& path) {
  if (!is_there(path)) return false;
  if (is_link(path) || !tree::is_folder(path)) return true;
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error))
    if (entry->path().filename() != ".lock") return true;
  return static_cast<bool>(error);
}

fs::path link_target(const fs::path& path) {
  return is_link(path) ? (path.parent_path() / fs::read_symlink(path)).lexically_normal() : fs::path();
}

bool bring(const fs::path& from, const fs::path& to) {
  remove_empty(to);
  if (is_there(to)) return false;
  struct stat source {
  }, target{};
  if (::lstat(from.c_str(), &source) != 0) throw_errno("stat", io::shown(from));
  if (::stat(to.parent_path().c_str(), &target) != 0) throw_errno("stat", io::shown(to.parent_path()));
  if (source.st_dev == target.st_dev) {
    if (!io::rename_new(from, to)) return false;
  } else {
    const fs::path copy = io::temporary_name(to);  // which a later run removes, if this one does not come to its end
    fs::copy(from, copy, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    const io::UniqueFd folder = io::open_file(to.parent_path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (::syncfs(folder.get()) != 0) throw_errno("sync", io::shown(to.parent_path()));
    if (!io::rename_new(copy, to)) return false;
  }
  io::sync_directory(to.parent_path());
  return true;
}

void move_folder(const fs::path& from, const fs::path& to) {
  if (!is_there(from)) return;
  remove_empty(to);
  if (!io::rename_new(from, to))
    throw Error(Errc::failed, fmt::format("{} is in the way of {}", io::shown(to), io::shown(from)),
                "compare the two, move one of them elsewhere, and run the command again");
  io::sync_directory(to.parent_path());
}

void move_store(const fs::path& from, const fs::path& to) {
  const fs::path old_target = link_target(from);
  if (old_target.empty()) return move_folder(from, to);
  fs::path target = old_target;
  if (old_target.filename() == from.filename()) {
    target.replace_filename(to.filename());
    move_folder(old_target, target);
  }
  remove_empty(to);
  if (!is_there(to)) {
    fs::create_symlink(target, to);
    io::sync_directory(to.parent_path());
  } else if (link_target(to) != target) {
    throw Error(Errc::failed, fmt::format("{} is in the way of {}", io::shown(to), io::shown(from)),
                "compare the two, move one of them elsewhere, and run the command again");
  }
  remove_link(from);
}

void remove_folder(const fs::path& path) {
  if (const fs::path target = link_target(path); !target.empty()) {
    remove_folder(target);
    return remove_link(path);
  }
  if (!is_there(path)) return;
  const fs::path hidden = io::temporary_name(path);
  if (::rename(path.c_str(), hidden.c_str()) != 0) throw_errno("rename", io::shown(path));
  std::error_code error;
  fs::remove_all(hidden, error);
  if (error) throw Error(Errc::failed, fmt::format("remove {}: {}", io::shown(hidden), error.message()));
  io::sync_directory(path.parent_path());
}

}  // namespace reef::persona::internal
