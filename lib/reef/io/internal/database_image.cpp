#include "reef/io/internal/database_image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/file_state.h"
#include "reef/io/internal/sqlite_error.h"
#include "reef/io/internal/sqlite_open.h"

namespace reef::io::internal {
namespace {

constexpr std::size_t kCopyBytes = 1 << 20;

std::uint32_t big_endian(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 |
         static_cast<std::uint32_t>(p[2]) << 8 | p[3];
}

std::uint32_t page_size_of(const DatabaseHeader& header) {
  const std::uint32_t size = static_cast<std::uint32_t>(header[16]) << 8 | header[17];
  return size == 1 ? 65536 : size;
}

bool is_there(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

/// A connection to a file that does not change: takes no locks and looks for no log.
Database open_unchanging(const fs::path& path) {
  SqliteHandle handle = open_handle(immutable_uri(path), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, shown(path));
  if (const int code = touch(handle.get()); code != SQLITE_OK) throw_sqlite(handle.get(), code, "open", shown(path));
  return Database(path.string(), std::move(handle));
}

}  // namespace

bool is_wal(const DatabaseHeader& header) { return header[18] == 2 && header[19] == 2; }

std::string beside(const fs::path& path, const char* suffix) { return path.native() + suffix; }

std::uint64_t size_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

void throw_short(const fs::path& path, std::uint64_t size, std::uint64_t said) {
  throw Error(
      Errc::corrupt,
      fmt::format("{} is damaged: it ends after {} of the {} bytes that its header counts", shown(path), size, said),
      "restore it from a backup");
}

/// Of a file that is read as it lies.
void require_whole(const fs::path& path, const DatabaseHeader& header, std::uint64_t size) {
  // The count of pages is right only if it was written with the last change (fileformat2.html, section 1.3.8).
  if (big_endian(&header[24]) != big_endian(&header[92])) return;
  const std::uint64_t said = std::uint64_t{big_endian(&header[28])} * page_size_of(header);
  if (said > size) throw_short(path, size, said);
}

namespace {

/// A WAL database that nobody has open: all of it is in its file, and a change would show in the file's state.
class Resting : public DatabaseImage {
 public:
  static std::unique_ptr<DatabaseImage> open(const fs::path& path) {
    constexpr std::chrono::milliseconds kUntilSettled{25};
    for (int i = 0; i < 2; ++i) {
      const std::int64_t before = file_clock_ns();
      UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      if (!fd) throw_errno("open", shown(path));
      struct stat info {};
      if (::fstat(fd.get(), &info) != 0) throw_errno("look at", shown(path));
      const std::string state = file_state(info, before);
      const auto size = static_cast<std::uint64_t>(info.st_size);
      DatabaseHeader header{};
      if (!S_ISREG(info.st_mode) || size < header.size()) return nullptr;
      pread_exact(fd.get(), header.data(), header.size(), 0, path);
      // The log is looked for after the state was taken: whoever opened the database since changes the state.
      if (!is_wal(header) || size_of(beside(path, "-wal")) > 0 || is_there(beside(path, "-shm"))) return nullptr;
      if (!state.empty()) {
        require_whole(path, header, size);
        return std::unique_ptr<DatabaseImage>(new Resting(path, std::move(fd), size, state));
      }
      std::this_thread::sleep_for(kUntilSettled);  // closed a moment ago
    }
    return nullptr;
  }

  std::uint64_t size_bytes() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t got = ::pread(fd_.get(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw_errno("read", shown(path_));
      if (got == 0) {  // cut meanwhile: its state tells
        std::memset(into.data() + done, 0, into.size() - done);
        return;
      }
      done += static_cast<std::size_t>(got);
    }
  }
  int descriptor() const override { return fd_.get(); }
  Database& database() override { return database_; }
  bool still_holds() const override {
    const std::int64_t before = file_clock_ns();
    struct stat info {};
    return ::fstat(fd_.get(), &info) == 0 && file_state(info, before) == state_;
  }

 private:
  Resting(fs::path path, UniqueFd fd, std::uint64_t size, std::string state)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size), state_(std::move(state)) {
    database_ = open_unchanging(path_);
  }

  fs::path path_;
  UniqueFd fd_;
  std::uint64_t size_;
  std::string state_;
  Database database_;
};

/// A private copy without a name.
class Copied : public DatabaseImage {
 public:
  Copied(const fs::path& path, const fs::path& scratch, std::uint64_t size, const ReadAt& from) : size_(size) {
    if (scratch.empty()) throw Error(Errc::failed, fmt::format("there is no folder for a copy of {}", shown(path)));
    const fs::path copy = temporary_name(fs::absolute(scratch) / path.filename());
    fd_ = open_file(copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    try {
      std::vector<std::uint8_t> bytes;
      for (std::uint64_t at = 0; at < size; at += bytes.size()) {
        check_interrupt();
        bytes.resize(std::min<std::uint64_t>(kCopyBytes, size - at));
        from(at, bytes);
        pwrite_all(fd_.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, at, copy);
      }
      database_ = open_unchanging(copy);
    } catch (...) {
      ::unlink(copy.c_str());
      throw;
    }
    if (::unlink(copy.c_str()) != 0) throw_errno("remove", shown(copy));
  }

  std::uint64_t size_bytes() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    pread_exact(fd_.get(), into.data(), into.size(), offset, "the copy of a database");
  }
  int descriptor() const override { return fd_.get(); }
  Database& database() override { return database_; }

 private:
  std::uint64_t size_;
  UniqueFd fd_;
  Database database_;
};

}  // namespace

std::unique_ptr<DatabaseImage> open_resting(const fs::path& path) { return Resting::open(path); }

std::unique_ptr<DatabaseImage> copy_database(const fs::path& path, const fs::path& scratch, std::uint64_t size,
                                             const ReadAt& from) {
  return std::make_unique<Copied>(path, scratch, size, from);
}

}  // namespace reef::io::internal
