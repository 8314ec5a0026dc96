#include "reef/backup/archive_output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup {
namespace {

/// So often the kernel is told to begin writing, so that the fsync at the end has little left to wait for.
constexpr std::uint64_t kStartEvery = std::uint64_t{16} << 20;

}  // namespace

void FileOutput::write(std::span<const std::uint8_t> bytes) {
  io::pwrite_all(fd_, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, size_, path_);
  sha256_.update(bytes);
  size_ += bytes.size();
  if (size_ - started_ < kStartEvery) return;
  // A wish: where it is not granted, fsync does it all.
  ::sync_file_range(fd_, static_cast<off_t>(started_), static_cast<off_t>(size_ - started_), SYNC_FILE_RANGE_WRITE);
  started_ = size_;
}

void FileOutput::mark() {
  marked_size_ = size_;
  marked_sha256_ = sha256_;
}

void FileOutput::rewind() {
  if (::ftruncate(fd_, static_cast<off_t>(marked_size_)) != 0) throw_errno("shorten", io::shown(path_));
  size_ = marked_size_;
  started_ = std::min(started_, size_);
  sha256_ = marked_sha256_;
}

}  // namespace reef::backup
