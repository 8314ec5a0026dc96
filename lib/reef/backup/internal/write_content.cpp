#include "reef/backup/internal/write_content.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "reef/backup/internal/block_codec.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/share_work.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20;
/// Zeros of at least such a block, aligned, become a hole: shorter ones cost more calls than they save.
constexpr std::size_t kHoleBytes = std::size_t{64} << 10;
/// Pieces from which on threads are worth starting.
constexpr std::uint64_t kPiecesToShare = 8;

class Writer {
 public:
  Writer(const Content& content, int fd, const std::filesystem::path& path)
      : content_(content), fd_(fd), path_(path), size_(content.size_bytes()) {}

  std::uint64_t size() const { return size_; }

  /// Shares the blocks of the file that holds the content, where the filesystem can.
  bool by_reference() const { return size_ > 0 && ::ioctl(fd_, FICLONE, content_.descriptor()) == 0; }

  /// Copies the data within the kernel, until it refuses: returns how far it came.
  std::uint64_t in_kernel() const {
    std::uint64_t done = 0;
    while (done < size_) {
      check_interrupt();
      const std::uint64_t data = file_data(content_.next_data(done));
      if (data >= size_) return size_;
      std::uint64_t end = std::min(size_, data + kPieceBytes * 16);
      const off_t hole = ::lseek(content_.descriptor(), static_cast<off_t>(data), SEEK_HOLE);
      if (hole > static_cast<off_t>(data)) end = std::min(end, static_cast<std::uint64_t>(hole));
      auto from = static_cast<loff_t>(data);
      auto to = from;
      const ssize_t count = ::copy_file_range(content_.descriptor(), &from, fd_, &to, end - data, 0);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) throw_errno("write", io::shown(path_));
      if (count <= 0) return data;
      done = data + static_cast<std::uint64_t>(count);
    }
    return size_;
  }

  /// Reads and writes the bytes from `begin` to `end`.
  void by_hand(std::uint64_t begin, std::uint64_t end, std::vector<std::uint8_t>& buffer) const {
    for (std::uint64_t at = content_.next_data(begin); at < end; at = content_.next_data(at)) {
      check_interrupt();
      const std::uint64_t count = std::min(kPieceBytes, end - at);
      buffer.resize(count);
      content_.read(at, buffer);
      write_data(fd_, buffer, at, path_);
      at += count;
    }
  }

 private:
  /// The first offset from `offset` on that lies in no hole of the file, of which the content need not know.
  std::uint64_t file_data(std::uint64_t offset) const {
    const off_t data = ::lseek(content_.descriptor(), static_cast<off_t>(offset), SEEK_DATA);
    if (data >= 0) return static_cast<std::uint64_t>(data);
    return errno == ENXIO ? size_ : offset;  // ENXIO: nothing but a hole up to the end
  }

  const Content& content_;
  int fd_;
  const std::filesystem::path& path_;
  std::uint64_t size_;
};

}  // namespace

void write_data(int fd, std::span<const std::uint8_t> bytes, std::uint64_t offset,
                const std::filesystem::path& shown_path) {
  std::size_t run = 0;  // where what is to be written begins
  const auto flush = [&](std::size_t end) {
    if (end > run)
      io::pwrite_all(fd, {reinterpret_cast<const char*>(bytes.data()) + run, end - run}, offset + run, shown_path);
  };
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t block = std::min<std::size_t>(kHoleBytes - (offset + at) % kHoleBytes, bytes.size() - at);
    if (block == kHoleBytes && is_zero(bytes.subspan(at, block))) {
      flush(at);
      run = at + block;
    }
    at += block;
  }
  flush(bytes.size());
}

void end_with_hole(int fd, std::uint64_t size, const std::filesystem::path& shown_path) {
  if (io::file_size(fd, shown_path) < size && ::ftruncate(fd, static_cast<off_t>(size)) != 0)
    throw_errno("write", io::shown(shown_path));
}

void write_content(const Content& content, int fd, const std::filesystem::path& shown_path, unsigned threads) {
  const Writer writer(content, fd, shown_path);
  const std::uint64_t size = writer.size();
  if (size == 0) return;
  std::uint64_t done = 0;
  if (content.descriptor() >= 0 && !io::plain_io()) {
    if (writer.by_reference()) return;
    done = writer.in_kernel();
  }
  if (done < size) {
    const std::uint64_t pieces = (size - done + kPieceBytes - 1) / kPieceBytes;
    if (pieces < kPiecesToShare) threads = 1;
    if (threads <= 1) {
      std::vector<std::uint8_t> buffer;
      writer.by_hand(done, size, buffer);
    } else {
      std::vector<std::vector<std::uint8_t>> buffers(threads);
      share_work(
          threads, pieces,
          [&](std::size_t worker, std::size_t piece) {
            const std::uint64_t begin = done + piece * kPieceBytes;
            writer.by_hand(begin, std::min(size, begin + kPieceBytes), buffers[worker]);
          },
          [] {});
    }
  }
  end_with_hole(fd, size, shown_path);
}

}  // namespace reef::backup::internal
