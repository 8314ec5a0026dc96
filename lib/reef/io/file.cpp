#include "reef/io/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/table.h"

namespace reef::io {
namespace {

/// Most bytes moved between two looks at pending_signal.
constexpr std::size_t kPieceBytes = std::size_t{8} << 20;

/// A call that a signal broke off: stop when it was one of ours, else the caller tries again.
bool broken_off() {
  if (errno != EINTR) return false;
  check_interrupt();
  return true;
}

}  // namespace

bool plain_io() {
  static const bool plain = [] {
    const char* value = std::getenv("REEF_IO");
    return value != nullptr && std::string_view(value) == "plain";
  }();
  return plain;
}

std::string shown(const fs::path& path) {
  std::string text = printable(path.native());
  if (!text.empty() && text.find_first_of(" '\"") == std::string::npos) return text;
  return text.find('\'') == std::string::npos ? fmt::format("'{}'", text) : fmt::format("\"{}\"", text);
}

std::string read_file(const fs::path& path, std::uint64_t limit_bytes) {
  const UniqueFd fd = open_file(path, O_RDONLY);
  // A hint only: files of /proc have size 0, and a file may grow while it is read.
  const std::uint64_t expected = file_size(fd.get(), path);
  std::string bytes;
  std::size_t used = 0;
  while (used <= limit_bytes) {
    check_interrupt();
    const std::uint64_t ahead = expected > used ? expected - used : 0;
    bytes.resize(used + static_cast<std::size_t>(std::clamp<std::uint64_t>(ahead + 1, 4096, kPieceBytes)));
    const ssize_t count = ::read(fd.get(), bytes.data() + used, bytes.size() - used);
    if (count < 0 && broken_off()) continue;
    if (count < 0) throw_errno("read", shown(path));
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
  }
  if (used > limit_bytes) {
    throw Error(Errc::failed, fmt::format("read {}: larger than the {} bytes allowed", shown(path), limit_bytes));
  }
  bytes.resize(used);
  return bytes;
}

void write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), std::min(bytes.size(), kPieceBytes));
    if (count < 0 && broken_off()) continue;
    if (count < 0) throw_errno("write", shown(path));
    bytes.remove_prefix(static_cast<std::size_t>(count));
    if (!bytes.empty()) check_interrupt();
  }
}

void pwrite_all(int fd, std::string_view bytes, std::uint64_t offset, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), std::min(bytes.size(), kPieceBytes), static_cast<off_t>(offset));
    if (count < 0 && broken_off()) continue;
    if (count < 0) throw_errno("write", shown(path));
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
    if (!bytes.empty()) check_interrupt();
  }
}

void pread_exact(int fd, void* into, std::size_t count, std::uint64_t offset, const fs::path& path) {
  auto* out = static_cast<char*>(into);
  std::size_t done = 0;
  while (done < count) {
    const ssize_t got = ::pread(fd, out + done, std::min(count - done, kPieceBytes), static_cast<off_t>(offset + done));
    if (got < 0 && broken_off()) continue;
    if (got < 0) throw_errno("read", shown(path));
    if (got == 0) {
      throw Error(Errc::corrupt,
                  fmt::format("{} ends at byte {}, but {} bytes from byte {} were to be read", shown(path),
                              offset + done, count, offset),
                  "the file was cut short: verify its store, or restore it from a backup");
    }
    done += static_cast<std::size_t>(got);
    if (done < count) check_interrupt();
  }
}

UniqueFd open_file(const fs::path& path, int flags, unsigned mode) {
  while (true) {
    UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, static_cast<mode_t>(mode)));
    if (fd) return fd;
    if (broken_off()) continue;
    throw_errno((flags & O_CREAT) != 0 ? "create" : "open", shown(path));
  }
}

UniqueFd open_regular(const fs::path& path, const std::string& hint) {
  UniqueFd fd = open_file(path, O_RDONLY);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw_errno("stat", shown(path));
  if (!S_ISREG(status.st_mode)) throw Error(Errc::usage, fmt::format("{} is not a regular file", shown(path)), hint);
  return fd;
}

std::uint64_t file_size(int fd, const fs::path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_errno("stat", shown(path));
  return static_cast<std::uint64_t>(status.st_size);
}

void sync_file(int fd, const fs::path& path) {
  // No second try after an error: Linux marks the pages clean, so that it would report success.
  if (::fsync(fd) != 0) throw_errno("fsync", shown(path));
}

void sync_directory(const fs::path& directory) {
  const fs::path place = directory.empty() ? fs::path(".") : directory;
  const UniqueFd fd = open_file(place, O_RDONLY | O_DIRECTORY);
  // EINVAL: a filesystem whose folders have nothing to flush (some FUSE and network ones).
  if (::fsync(fd.get()) != 0 && errno != EINVAL) throw_errno("fsync", shown(place));
}

}  // namespace reef::io
