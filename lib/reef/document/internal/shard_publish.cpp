#include "reef/document/internal/shard_publish.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/tree/persona.h"

namespace reef::document::internal {
namespace {

namespace fs = std::filesystem;

fs::path hidden_name(const fs::path& folder, const std::string& persona, std::string_view kind) {
  constexpr std::size_t kBegin = 3, kLetters = 6;  // ".x.ABCDEF.tmp"
  const std::string random = io::temporary_name(folder / "x").filename().string().substr(kBegin, kLetters);
  return folder / fmt::format(".{}.{}-{}", persona, kind, random);
}

bool rename_quietly(const fs::path& from, const fs::path& to) { return ::rename(from.c_str(), to.c_str()) == 0; }

[[noreturn]] void fail(int reason, const fs::path& name) {
  errno = reason;
  throw_errno("rename", io::shown(name));
}

/// Whether it was done; false where the filesystem has no such call.
bool exchange(const fs::path& a, const fs::path& b) {
  if (io::plain_io()) return false;
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) return false;
  fail(errno, b);
}

/// The folder of the two is under its kept_name() while `name` is absent, and comes back when a step fails.
fs::path put_in_steps(const fs::path& fresh, const fs::path& name, const std::string& persona) {
  const fs::path folder = name.parent_path();
  fs::path kept = kept_name(folder, persona);
  if (fs::is_symlink(fresh)) {
    if (!rename_quietly(name, kept)) fail(errno, name);
    if (rename_quietly(fresh, name)) return kept;
    const int reason = errno;
    rename_quietly(kept, name);
    fail(reason, name);
  }
  fs::path old = moving_name(folder, persona);
  if (!rename_quietly(fresh, kept)) fail(errno, fresh);
  io::sync_directory(folder);
  int reason = 0;
  if (rename_quietly(name, old)) {
    if (rename_quietly(kept, name)) return old;
    reason = errno;
    rename_quietly(old, name);
  } else {
    reason = errno;
  }
  rename_quietly(kept, fresh);
  fail(reason, name);
}

}  // namespace

void mark_moving(const fs::path& folder) {
  io::open_file(folder / kMovingMark, O_WRONLY | O_CREAT);
  io::sync_directory(folder);
}

void unmark(const fs::path& folder) {
  const fs::path mark = folder / kMovingMark;
  if (::unlink(mark.c_str()) != 0 && errno != ENOENT && errno != EROFS) throw_errno("remove", io::shown(mark));
}

bool is_marked(const fs::path& folder) {
  std::error_code ignored;  // on a failing drive: nothing is known of it, and nothing done
  return fs::exists(folder / kMovingMark, ignored);
}

fs::path moving_name(const fs::path& folder, const std::string& persona) {
  return hidden_name(folder, persona, kMoving);
}
fs::path kept_name(const fs::path& folder, const std::string& persona) { return hidden_name(folder, persona, kKept); }

std::string persona_of(std::string_view name, std::string_view kind) {
  const auto tail = name.rfind(fmt::format(".{}-", kind));
  if (!name.starts_with('.') || tail == std::string_view::npos || tail == 0) return "";
  const std::string_view id = name.substr(1, tail - 1);
  return tree::is_persona_id(id) ? std::string(id) : "";
}

fs::path put_in_place(const fs::path& fresh, const fs::path& name, const std::string& persona) {
  fs::path old = exchange(fresh, name) ? fresh : put_in_steps(fresh, name, persona);
  io::sync_directory(name.parent_path());
  return old;
}

fs::path put_link_in_place(const fs::path& target, const fs::path& name, const std::string& persona) {
  const fs::path fresh = moving_name(name.parent_path(), persona);
  if (::symlink(target.c_str(), fresh.c_str()) != 0) throw_errno("link", io::shown(fresh));
  try {
    return put_in_place(fresh, name, persona);
  } catch (const Error&) {
    if (fs::is_symlink(fresh)) ::unlink(fresh.c_str());  // else it is the old folder
    throw;
  }
}

void replace_link(const fs::path& name, const fs::path& target, const std::string& persona) {
  const fs::path fresh = moving_name(name.parent_path(), persona);
  if (::symlink(target.c_str(), fresh.c_str()) != 0) throw_errno("link", io::shown(fresh));
  if (!rename_quietly(fresh, name)) {
    const int reason = errno;
    ::unlink(fresh.c_str());
    fail(reason, name);
  }
  io::sync_directory(name.parent_path());
}

void remove_store(const fs::path& path, const std::string& persona) {
  fs::path hidden = path;
  if (!path.filename().string().starts_with('.')) {
    hidden = moving_name(path.parent_path(), persona);
    if (!rename_quietly(path, hidden)) fail(errno, path);
    io::sync_directory(path.parent_path());
  }
  std::error_code error;
  fs::remove_all(hidden, error);
  if (error) throw Error(Errc::failed, fmt::format("remove {}: {}", io::shown(hidden), error.message()));
}

}  // namespace reef::document::internal
