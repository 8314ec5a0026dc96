#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <string>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::io {
namespace {

/// Bytes between two reports of progress and two looks at pending_signal.
constexpr std::size_t kPieceBytes = std::size_t{16} << 20;
constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

class Copy {
 public:
  Copy(int from, int to, const fs::path& from_path, const fs::path& to_path, void (*on_bytes)(void*, std::uint64_t),
       void* context)
      : from_(from), to_(to), from_path_(from_path), to_path_(to_path), on_bytes_(on_bytes), context_(context) {}

  /// Shares the blocks of the file. False where the filesystem cannot, and nothing was done.
  bool by_reference() {
    const std::uint64_t size = file_size(from_, from_path_);
    if (size == 0 || ::ioctl(to_, FICLONE, from_) != 0) return false;
    report(size);
    return true;
  }

  /// Copies in the kernel as far as it will; a call that refuses leaves the rest to by_hand().
  void in_kernel() {
    while (true) {
      check_interrupt();
      auto source = static_cast<loff_t>(offset_);
      auto target = static_cast<loff_t>(offset_);
      const ssize_t count = ::copy_file_range(from_, &source, to_, &target, kPieceBytes, 0);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) throw_errno("write", shown(to_path_));
      if (count <= 0) return;
      report(static_cast<std::uint64_t>(count));
    }
  }

  void by_hand() {
    std::string buffer(kBufferBytes, '\0');
    while (true) {
      check_interrupt();
      const ssize_t count = ::pread(from_, buffer.data(), buffer.size(), static_cast<off_t>(offset_));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw_errno("read", shown(from_path_));
      if (count == 0) return;
      const auto got = static_cast<std::size_t>(count);
      pwrite_all(to_, std::string_view(buffer).substr(0, got), offset_, to_path_);
      report(got);
    }
  }

 private:
  void report(std::uint64_t count) {
    offset_ += count;
    if (on_bytes_ != nullptr) on_bytes_(context_, count);
  }

  int from_;
  int to_;
  const fs::path& from_path_;
  const fs::path& to_path_;
  void (*on_bytes_)(void*, std::uint64_t);
  void* context_;
  std::uint64_t offset_ = 0;
};

}  // namespace

void copy_contents(int from, int to, const fs::path& from_path, const fs::path& to_path,
                   void (*on_bytes)(void*, std::uint64_t), void* context) {
  Copy copy(from, to, from_path, to_path, on_bytes, context);
  if (plain_io() || !copy.by_reference()) {
    if (!plain_io()) copy.in_kernel();
    // Also after the kernel said "end of file": files of /proc and some FUSE ones say so too early.
    copy.by_hand();
  }
  sync_file(to, to_path);
}

}  // namespace reef::io
