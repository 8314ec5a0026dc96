#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <optional>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// True when this process now holds the lock, false when another one does.
bool try_lock(int fd, int kind, const fs::path& path) {
  while (::flock(fd, kind | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) throw_errno("lock", shown(path));
    check_interrupt();
  }
  return true;
}

/// False when the file was removed or replaced since it was opened: its lock then keeps nobody out.
bool still_named(int fd, const fs::path& path) {
  struct stat held {};
  struct stat named {};
  if (::fstat(fd, &held) != 0) throw_errno("stat", shown(path));
  return ::stat(path.c_str(), &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

/// For the message of those who find the file locked. No more than a courtesy: 'prune' must be
/// able to take its lock when the disk is full.
void note_holder(int fd) {
  const std::string pid = fmt::format("{}\n", ::getpid());
  // In this order: ext4 flushes a file that was truncated to nothing and written anew, which costs
  // each lock milliseconds. The newline ends what is read, whatever stands behind it.
  if (::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) return;
  [[maybe_unused]] const int ignored = ::ftruncate(fd, static_cast<off_t>(pid.size()));
}

std::optional<int> holder_of(int fd) {
  std::array<char, 32> text{};
  const ssize_t count = ::pread(fd, text.data(), text.size(), 0);
  int pid = 0;
  if (count <= 0 || std::from_chars(text.data(), text.data() + count, pid).ec != std::errc{} || pid <= 0) {
    return std::nullopt;
  }
  return pid;
}

[[noreturn]] void throw_locked(int fd, const fs::path& path) {
  // A reader leaves no note: what stands there may be of a writer that ended long ago.
  const auto pid = holder_of(fd);
  const bool alive = pid && (::kill(*pid, 0) == 0 || errno == EPERM);
  throw Error(
      Errc::locked,
      fmt::format("{} is locked by {}", shown(path), alive ? fmt::format("process {}", *pid) : "another process"),
      "wait for that run to end, or pass --wait 10m");
}

/// Nothing when there is no lock to read: nobody has written yet. A writer's lock is the first file
/// that its run asks for, and so the first to miss the folder.
UniqueFd open_lock(const fs::path& path, int flags) {
  try {
    return open_file(path, flags);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    if (flags == O_RDONLY) return {};
    throw Error(Errc::not_found, fmt::format("{} is not there", shown(path.parent_path())),
                "mount the drive that holds it, or run 'reef-init', which makes the folders that a tree lacks");
  }
}

void sleep_for(milliseconds duration) {
  const timespec time{duration.count() / 1000, (duration.count() % 1000) * 1'000'000};
  ::nanosleep(&time, nullptr);  // a signal ends it early, and check_interrupt() comes next
}

}  // namespace

LockFile::LockFile(const fs::path& path, milliseconds wait) : LockFile(path, wait, O_RDWR | O_CREAT) {
  note_holder(fd_.get());
}

LockFile LockFile::for_reading(const fs::path& path, milliseconds wait) { return {path, wait, O_RDONLY}; }

LockFile::LockFile(const fs::path& path, milliseconds wait, int flags) {
  constexpr milliseconds kFirstPause{5};
  constexpr milliseconds kLongestPause{250};
  const auto start = steady_clock::now();
  milliseconds pause = kFirstPause;
  while (true) {
    fd_ = open_lock(path, flags);
    if (!fd_) return;
    // Those who only read the store keep writers out, not one another.
    while (!try_lock(fd_.get(), flags == O_RDONLY ? LOCK_SH : LOCK_EX, path)) {
      const auto waited = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
      if (waited >= wait) throw_locked(fd_.get(), path);
      sleep_for(std::min(pause, wait - waited));
      check_interrupt();
      pause = std::min(pause * 2, kLongestPause);
    }
    if (still_named(fd_.get(), path)) break;
  }
}

}  // namespace reef::io
