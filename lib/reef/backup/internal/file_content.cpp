#include "reef/backup/internal/file_content.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
/// Files from which on a second thread is worth its start.
constexpr std::uint64_t kBytesToShare = std::uint64_t{4} << 20;

[[noreturn]] void throw_damaged(const std::filesystem::path& shown, const std::string& what) {
  throw Error(Errc::corrupt, fmt::format("{} {}", io::shown(shown), what),
              "restore it from another snapshot; 'reef-backup verify' names all that need this file");
}

}  // namespace

io::Sha256Digest digest_of_file(int fd, std::uint64_t size, const std::filesystem::path& shown,
                                const std::function<void(std::uint64_t)>& on_bytes) {
  io::Sha256 sum;
  std::vector<std::uint8_t> buffer(std::min<std::uint64_t>(size, kPieceBytes));
  for (std::uint64_t at = 0; at < size; at += buffer.size()) {
    check_interrupt();
    buffer.resize(std::min<std::uint64_t>(size - at, kPieceBytes));
    io::pread_exact(fd, buffer.data(), buffer.size(), at, shown);
    sum.update(buffer);
    if (on_bytes) on_bytes(buffer.size());
  }
  return sum.finish();
}

/// Takes the digest on a thread; stops early when it is no longer wanted.
class FileContent::Check {
 public:
  Check(int fd, std::uint64_t size, const std::filesystem::path& shown) {
    thread_ = std::thread([this, fd, size, &shown] {
      try {
        digest_ = digest_of_file(fd, size, shown, [this](std::uint64_t) {
          if (unwanted_) throw Error(Errc::interrupted, "no longer wanted");
        });
      } catch (...) {
        error_ = std::current_exception();
      }
    });
  }
  Check(const Check&) = delete;
  Check& operator=(const Check&) = delete;
  ~Check() {
    unwanted_ = true;
    if (thread_.joinable()) thread_.join();
  }
  io::Sha256Digest finish() {
    thread_.join();
    if (error_) std::rethrow_exception(error_);
    return digest_;
  }

 private:
  std::atomic<bool> unwanted_{false};
  io::Sha256Digest digest_{};
  std::exception_ptr error_;
  std::thread thread_;
};

FileContent::FileContent(int folder, const std::string& name, const std::filesystem::path& shown, std::uint64_t size,
                         const io::Sha256Digest& digest, Counts counts)
    : shown_(shown), size_(size), digest_(digest), counts_(std::move(counts)) {
  // O_NONBLOCK: a pipe of that name must not hold us up.
  fd_.reset(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd_ && errno == ENOENT) throw_damaged(shown_, "is missing");
  if (!fd_ && errno == ELOOP) throw_damaged(shown_, "is a symbolic link");
  if (!fd_) throw_errno("open", io::shown(shown_));
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) throw_errno("stat", io::shown(shown_));
  if (!S_ISREG(status.st_mode)) throw_damaged(shown_, "is no plain file");
  if (static_cast<std::uint64_t>(status.st_size) != size_)
    throw_damaged(shown_, fmt::format("has {} bytes, and had {}", status.st_size, size_));
  if (size_ < kBytesToShare) return;
  try {
    check_ = std::make_unique<Check>(fd_.get(), size_, shown_);
  } catch (const std::system_error&) {
    // EAGAIN: finish() does it.
  }
}

FileContent::~FileContent() = default;

void FileContent::read(std::uint64_t offset, std::span<std::uint8_t> into) const {
  try {
    io::pread_exact(fd_.get(), into.data(), into.size(), offset, shown_);
  } catch (const Error& error) {
    note(error);
    throw;
  }
}

void FileContent::note(const Error& error) const {
  const std::lock_guard lock(mutex_);
  if (error.code() != Errc::interrupted) fault_ = error.what();
}

std::uint64_t FileContent::next_data(std::uint64_t offset) const {
  const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (data >= 0) return std::min(static_cast<std::uint64_t>(data), size_);
  return errno == ENXIO ? size_ : offset;  // ENXIO: nothing but a hole up to the end
}

Counts FileContent::finish() {
  try {
    const io::Sha256Digest found = check_ ? check_->finish() : digest_of_file(fd_.get(), size_, shown_);
    if (found != digest_)
      throw_damaged(shown_,
                    fmt::format("is damaged: sha256 is {}, and was {}", io::to_hex(found), io::to_hex(digest_)));
  } catch (const Error& error) {
    note(error);
    throw;
  }
  return counts_;
}

}  // namespace reef::backup::internal
