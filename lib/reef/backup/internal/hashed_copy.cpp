#include "reef/backup/internal/hashed_copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "reef/backup/internal/file_content.h"
#include "reef/backup/internal/write_content.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::size_t kSlots = 4;
/// Files from which on a second thread is worth its start.
constexpr std::uint64_t kBytesToShare = std::uint64_t{4} << 20;
/// Bytes between two requests to begin writing back.
constexpr std::uint64_t kWritebackBytes = std::uint64_t{8} << 20;

void hash_zeros(io::Sha256& sum, std::uint64_t count) {
  static const std::vector<std::uint8_t> zeros(std::size_t{64} << 10);
  for (; count > 0; count -= std::min<std::uint64_t>(count, zeros.size()))
    sum.update({zeros.data(), static_cast<std::size_t>(std::min<std::uint64_t>(count, zeros.size()))});
}

/// Hashes pieces in the order in which they are given, on a thread of its own where the system has one.
class Hasher {
 public:
  explicit Hasher(bool wants_thread) {
    if (!wants_thread) return;
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error&) {
      // EAGAIN: the calling thread does it.
    }
  }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  ~Hasher() { stop(); }

  /// A buffer that nobody reads any more.
  std::vector<std::uint8_t>& buffer() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return given_ - hashed_ < kSlots; });
    return slots_[given_ % kSlots].bytes;
  }
  /// Takes the last buffer(), which may be read further until the next buffer() but one of the last.
  void give(std::uint64_t zeros_before) {
    slots_[given_ % kSlots].zeros_before = zeros_before;
    if (!thread_.joinable()) {
      hash(slots_[given_ % kSlots]);
      return;
    }
    const std::lock_guard lock(mutex_);
    ++given_;
    changed_.notify_all();
  }
  io::Sha256Digest finish(std::uint64_t zeros_at_end) {
    stop();
    hash_zeros(sum_, zeros_at_end);
    return sum_.finish();
  }

 private:
  struct Slot {
    std::uint64_t zeros_before = 0;
    std::vector<std::uint8_t> bytes;
  };

  void hash(const Slot& slot) {
    hash_zeros(sum_, slot.zeros_before);
    sum_.update(slot.bytes);
  }

  void run() {
    while (true) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return hashed_ < given_ || ended_; });
        if (hashed_ == given_) return;
      }
      hash(slots_[hashed_ % kSlots]);
      const std::lock_guard lock(mutex_);
      ++hashed_;
      changed_.notify_all();
    }
  }

  void stop() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }

  io::Sha256 sum_;
  std::array<Slot, kSlots> slots_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t given_ = 0;
  std::size_t hashed_ = 0;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace

io::Sha256Digest copy_hashed(const Content& content, int fd, const std::filesystem::path& shown) {
  const std::uint64_t size = content.size_bytes();
  const bool plain = io::plain_io();
  if (size > 0 && !plain && content.descriptor() >= 0 && ::ioctl(fd, FICLONE, content.descriptor()) == 0) {
    if (io::file_size(fd, shown) == size) return digest_of_file(fd, size, shown);
    if (::ftruncate(fd, 0) != 0) throw_errno("write", io::shown(shown));  // the file has grown meanwhile
  }

  Hasher hasher(size >= kBytesToShare);
  std::uint64_t done = 0;
  std::uint64_t written_back = 0;
  for (std::uint64_t at = content.next_data(0); at < size; at = content.next_data(done)) {
    check_interrupt();
    std::vector<std::uint8_t>& buffer = hasher.buffer();
    buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, size - at)));
    content.read(at, buffer);
    hasher.give(at - done);
    write_data(fd, buffer, at, shown);
    done = at + buffer.size();
    if (!plain && done - written_back >= kWritebackBytes) {
      // A request that fails costs nothing but time at the end.
      ::sync_file_range(fd, static_cast<off64_t>(written_back), static_cast<off64_t>(done - written_back),
                        SYNC_FILE_RANGE_WRITE);
      written_back = done;
    }
  }
  end_with_hole(fd, size, shown);
  return hasher.finish(size - done);
}

}  // namespace reef::backup::internal
