#include "reef/document/internal/store_copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <set>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/document/store.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"

namespace reef::document::internal {
namespace {

namespace fs = std::filesystem;
constexpr const char* kDatabase = "metadata.sqlite";

struct Entry {
  std::string name;
  struct stat info {};
};

/// What may belong to a store: hidden files are temporary or a lock, and SQLite makes its -shm anew.
std::vector<Entry> entries_of(const fs::path& folder) {
  std::vector<Entry> entries;
  for (const auto& found : fs::directory_iterator(folder)) {
    Entry entry{found.path().filename().string(), {}};
    if (entry.name.starts_with('.') || entry.name.ends_with("-shm")) continue;
    if (::lstat(found.path().c_str(), &entry.info) != 0) throw_errno("read", io::shown(found.path()));
    entries.push_back(std::move(entry));
  }
  return entries;
}

/// With what stands there it would be lost when the store is removed.
void require_file(const fs::path& path, const Entry& entry) {
  if (!S_ISREG(entry.info.st_mode) && !S_ISLNK(entry.info.st_mode))
    throw Error(Errc::failed, fmt::format("{} is no file of a store", io::shown(path)),
                "move it out of the store's folder");
}

void tell(void* progress, std::uint64_t bytes) {
  check_interrupt();
  static_cast<Progress*>(progress)->advance(bytes);
}

void copy_file(const fs::path& from, const fs::path& to, mode_t mode, Progress& progress) {
  const io::UniqueFd in = io::open_file(from, O_RDONLY);
  const io::UniqueFd out = io::open_file(to, O_RDWR | O_CREAT | O_EXCL);
  io::copy_contents(in.get(), out.get(), from, to, tell, &progress);
  if (::fchmod(out.get(), mode & 07777U) != 0 && errno != EPERM && errno != EOPNOTSUPP)
    throw_errno("chmod", io::shown(to));
  // So that the comparison reads what the drive holds.
  ::posix_fadvise(out.get(), 0, 0, POSIX_FADV_DONTNEED);
}

/// The plain names are hard links, or symbolic ones where those are refused.
void link_file(const fs::path& folder, const std::string& first, const std::string& name) {
  if (::link((folder / first).c_str(), (folder / name).c_str()) == 0) return;
  if (errno == ENOSPC || errno == EIO || ::symlink(first.c_str(), (folder / name).c_str()) != 0)
    throw_errno("link", io::shown(folder / name));
}

void compare(const fs::path& from, const fs::path& to, Progress& progress) {
  const auto advance = [&](std::uint64_t bytes) { tell(&progress, bytes); };
  if (io::sha256_file(from, advance) == io::sha256_file(to, advance)) return;
  throw Error(Errc::failed, fmt::format("{} is not what was copied from {}", io::shown(to), io::shown(from)),
              "one of the drives may be failing: look into its SMART values and the kernel's log");
}

}  // namespace

std::uint64_t store_bytes(const fs::path& folder) {
  constexpr std::uint64_t kBlock = 4096;
  std::uint64_t bytes = 0;
  std::set<ino_t> counted;
  for (const Entry& entry : entries_of(folder))
    if (S_ISREG(entry.info.st_mode) && counted.insert(entry.info.st_ino).second)
      bytes += (static_cast<std::uint64_t>(entry.info.st_size) + kBlock - 1) / kBlock * kBlock;
  return bytes;
}

void verify_copy(const fs::path& folder) {
  io::Database database(folder / kDatabase, io::OpenMode::write);
  io::require_version(database, Store::kVersion);
  const auto damaged = [](const std::string& what) {
    return Error(Errc::corrupt, fmt::format("the store is damaged and stays where it is: {}", what),
                 "'reef-index verify' tells more; mend it or restore it from a backup, then move it");
  };
  if (const std::string broken = database.integrity(true); !broken.empty()) throw damaged("SQLite: " + broken);
  for (const vector::StoreFault& fault : vector::verify_store(folder, database))
    if (!fault.mends_itself) throw damaged(fmt::format("{}: {}", fs::path(fault.file).filename().string(), fault.what));
  database.checkpoint();
}

bool holds_store(const fs::path& folder) {
  std::error_code absent;
  return fs::file_size(folder / kDatabase, absent) > 0 && !absent;
}

void copy_store(const fs::path& from, const fs::path& to, Progress& progress) {
  std::map<ino_t, std::string> copied;
  const auto entries = entries_of(from);
  for (const Entry& entry : entries) require_file(from / entry.name, entry);
  for (const Entry& entry : entries) {
    check_interrupt();
    if (S_ISLNK(entry.info.st_mode)) {
      const fs::path target = fs::read_symlink(from / entry.name);
      if (::symlink(target.c_str(), (to / entry.name).c_str()) != 0) throw_errno("link", io::shown(to / entry.name));
    } else if (const auto [first, is_new] = copied.emplace(entry.info.st_ino, entry.name); !is_new) {
      link_file(to, first->second, entry.name);
    } else {
      copy_file(from / entry.name, to / entry.name, entry.info.st_mode, progress);
    }
  }
  for (const auto& [inode, name] : copied) compare(from / name, to / name, progress);
  if (holds_store(to)) verify_copy(to);
  // Whoever looks at the store before its first writer comes can keep writers out.
  io::open_file(to / ".lock", O_RDWR | O_CREAT);
  io::sync_directory(to);
}

}  // namespace reef::document::internal
