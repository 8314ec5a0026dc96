#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <system_error>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/lease.h"

namespace reef::io {
namespace {

constexpr std::string_view kEnd = ".tmp";
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
constexpr std::size_t kRandomLetters = 6;
constexpr std::size_t kLongestName = 255;
constexpr std::size_t kAdded = 1 + 1 + kRandomLetters + kEnd.size();  // to a target's name

std::string random_letters() {
  std::array<unsigned char, kRandomLetters> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw_errno("read", "the system's random numbers");
  }
  std::string letters;
  for (const unsigned char byte : bytes) letters += kLetters[byte % kLetters.size()];
  return letters;
}

fs::path directory_of(const fs::path& target) {
  return target.has_parent_path() ? target.parent_path() : fs::path(".");
}

/// ".<name>.", before the random letters.
std::string start_of_temporary(const fs::path& target) {
  return fmt::format(".{}.", target.filename().string().substr(0, kLongestName - kAdded));
}

UniqueFd create_temporary(const fs::path& target, unsigned mode, fs::path& name) {
  while (true) {
    name = temporary_name(target);
    UniqueFd fd(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, static_cast<mode_t>(mode)));
    if (fd) return fd;
    if (errno == EINTR) check_interrupt();
    if (errno != EEXIST && errno != EINTR) throw_errno("create", shown(name));
  }
}

/// The mode asked for, whatever the umask: what the group of the tree may read is decided by the
/// caller. Filesystems without modes (FAT) refuse; theirs come from the mount.
void set_mode(int fd, unsigned mode, const fs::path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_errno("stat", shown(path));
  if ((status.st_mode & 07777U) == mode) return;
  if (::fchmod(fd, static_cast<mode_t>(mode)) != 0 && errno != EPERM && errno != EOPNOTSUPP) {
    throw_errno("chmod", shown(path));
  }
}

}  // namespace

bool is_temporary_name(std::string_view name) {
  constexpr std::size_t kTail = 1 + kRandomLetters + kEnd.size();
  if (name.size() < 1 + 1 + kTail || !name.starts_with('.') || !name.ends_with(kEnd)) return false;
  const std::string_view tail = name.substr(name.size() - kTail);
  return tail.front() == '.' && tail.substr(1, kRandomLetters).find_first_not_of(kLetters) == std::string_view::npos;
}

fs::path temporary_name(const fs::path& target) {
  return directory_of(target) / fmt::format("{}{}{}", start_of_temporary(target), random_letters(), kEnd);
}

bool rename_new(const fs::path& from, const fs::path& to) {
  int failed = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
  if (failed != 0 && errno == EINVAL) {
    std::error_code ignored;
    if (fs::symlink_status(to, ignored).type() != fs::file_type::not_found) return false;
    failed = ::rename(from.c_str(), to.c_str());
  }
  if (failed != 0 && errno == EEXIST) return false;
  if (failed != 0) throw_errno("rename", shown(to));
  return true;
}

StagedFile::StagedFile(fs::path target, unsigned mode) : target_(std::move(target)) {
  fd_ = create_temporary(target_, mode, temporary_);
  try {
    set_mode(fd_.get(), mode, temporary_);
  } catch (...) {
    ::unlink(temporary_.c_str());
    throw;
  }
}

StagedFile::~StagedFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void StagedFile::write(std::string_view bytes) { write_all(fd_.get(), bytes, temporary_); }

void StagedFile::commit() {
  sync_file(fd_.get(), temporary_);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) throw_errno("rename", shown(target_));
  published();
}

bool StagedFile::commit_new() {
  sync_file(fd_.get(), temporary_);
  if (!rename_new(temporary_, target_)) return false;
  published();
  return true;
}

void StagedFile::published() {
  committed_ = true;
  fd_.reset();
  sync_directory(directory_of(target_));
}

void replace_file(const fs::path& path, std::string_view bytes, unsigned mode) {
  StagedFile file(path, mode);
  file.write(bytes);
  file.commit();
}

std::size_t remove_stale(const fs::path& directory) {
  std::vector<fs::path> stale;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    if (is_temporary_name(entry->path().filename().native())) stale.push_back(entry->path());
  }
  if (error == std::errc::no_such_file_or_directory) return 0;
  if (error) throw Error(Errc::failed, fmt::format("list {}: {}", shown(directory), error.message()));
  for (const fs::path& path : stale) {
    check_interrupt();
    fs::remove_all(path, error);
    if (error) throw Error(Errc::failed, fmt::format("remove {}: {}", shown(path), error.message()));
  }
  return stale.size();
}

void remove_stale_of(const fs::path& target) {
  const std::string start = start_of_temporary(target);
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator entry(directory_of(target), error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.size() != start.size() + kRandomLetters + kEnd.size()) continue;
    std::error_code ignored;
    if (name.starts_with(start) && is_temporary_name(name) &&
        entry->symlink_status(ignored).type() == fs::file_type::regular)
      found.push_back(entry->path());
  }
  for (const fs::path& path : found) {
    // Who writes one has it open from its first moment on; a killed run has not.
    const ExclusiveLease lease(path);
    if (lease.is_held()) ::unlink(path.c_str());
  }
}

}  // namespace reef::io
