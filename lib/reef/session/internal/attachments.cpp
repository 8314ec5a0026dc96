#include "reef/session/internal/attachments.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/session/archives.h"
#include "reef/tree/folders.h"

namespace reef::session::internal {
namespace {

namespace fs = std::filesystem;

void look_again(std::uint64_t) { check_interrupt(); }

void copy_one(const fs::path& from, const fs::path& to) {
  const auto digest = io::sha256_file(from, look_again);
  io::remove_stale_of(to);
  if (fs::exists(fs::symlink_status(to))) {
    if (fs::is_regular_file(to) && io::sha256_file(to, look_again) == digest) {
      io::sync_file(io::open_file(to, O_RDONLY).get(), to);  // of a killed run, perhaps
      io::sync_directory(to.parent_path());
      return;
    }
    throw Error(Errc::usage, fmt::format("{} is there, and is another file", io::shown(to)),
                "move one of the two elsewhere");
  }
  io::StagedFile copy(to);
  const io::UniqueFd source = io::open_regular(from, "attachments are files");
  io::copy_contents(source.get(), copy.fd(), from, copy.temporary_path());
  io::sync_file(copy.fd(), copy.temporary_path());
  require_readable(copy.temporary_path(), digest, to);
  if (!copy.commit_new()) throw Error(Errc::failed, fmt::format("{} was made meanwhile", io::shown(to)), "");
}

}  // namespace

void require_readable(const fs::path& copy, const io::Sha256Digest& digest, const fs::path& target) {
  ::posix_fadvise(io::open_file(copy, O_RDONLY).get(), 0, 0, POSIX_FADV_DONTNEED);
  if (io::sha256_file(copy, look_again) != digest)
    throw Error(Errc::corrupt, fmt::format("{} was read back with other bytes", io::shown(target)),
                "look after the drive of the archive; the tree was not changed");
}

fs::path attachments_folder(const tree::Tree& tree, const std::string& session) {
  return tree.conversations() / file_name_of(session);
}

std::uint64_t count_files(const fs::path& folder) {
  std::uint64_t count = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    count += entry->is_directory(error) ? 0 : 1;
  return count;
}

void copy_files(const fs::path& from, const fs::path& to) {
  tree::make_folders(to);
  for (const auto& entry : fs::directory_iterator(from)) {
    check_interrupt();
    const fs::path target = to / entry.path().filename();
    const auto type = entry.symlink_status().type();
    if (type == fs::file_type::directory)
      copy_files(entry.path(), target);
    else if (type == fs::file_type::regular)
      copy_one(entry.path(), target);
    else
      throw Error(Errc::usage, fmt::format("{} is neither a file nor a folder", io::shown(entry.path())),
                  "remove it, or put in its place what it stands for");
  }
}

void remove_folder(const fs::path& folder) {
  if (!fs::exists(fs::symlink_status(folder))) return;
  if (!fs::is_directory(folder))
    throw Error(Errc::usage, fmt::format("{} is no folder of attachments", io::shown(folder)), "move it elsewhere");
  const fs::path aside = io::temporary_name(folder);
  if (::rename(folder.c_str(), aside.c_str()) != 0) throw_errno("rename", io::shown(folder));
  io::sync_directory(folder.parent_path());
  fs::remove_all(aside);
}

void remove_file(const fs::path& file) {
  if (::unlink(file.c_str()) != 0) {
    if (errno == ENOENT) return;
    throw_errno("remove", io::shown(file));
  }
  io::sync_directory(file.parent_path());
}

}  // namespace reef::session::internal
