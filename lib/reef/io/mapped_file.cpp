#include "reef/io/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::io {

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path.string()) {
  // O_NONBLOCK: a named pipe in the place of the file must not hold the command up.
  fd_ = open_file(path, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) throw_errno("stat", shown(path));
  if (!S_ISREG(status.st_mode)) throw Error(Errc::failed, fmt::format("{} is not a regular file", shown(path)));
  if (status.st_size == 0) return;  // mmap(2) refuses length 0; an empty span says it as well
  const auto size = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd_.get(), 0);
  if (address == MAP_FAILED) throw_errno("map", shown(path));
  data_ = static_cast<std::uint8_t*>(address);
  size_ = size;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

namespace {

/// Whether the page is in memory. preadv2(RWF_NOWAIT) would tell too, but starts reading ahead. For a
/// file that the user may not write, the kernel says yes: then pages come by faults.
bool is_cached(const std::uint8_t* page) {
  unsigned char in_memory = 1;
  return ::mincore(const_cast<std::uint8_t*>(page), 1, &in_memory) != 0 || (in_memory & 1) != 0;
}

}  // namespace

/// The kernel looks at every page of a range even when all are there; three samples tell what a file
/// that is evicted as a whole looks like, in a tenth of the time.
bool MappedFile::looks_cached(std::size_t offset, std::size_t count) const {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto cached = [&](std::size_t at) { return is_cached(data_ + at / page * page); };
  return cached(offset) && cached(offset + count / 2) && cached(offset + count - 1);
}

void MappedFile::read_ahead(std::size_t offset, std::size_t count) const {
  if (!fd_ || offset >= size_) return;
  count = std::min(count, size_ - offset);
  if (count == 0 || looks_cached(offset, count)) return;
  // One call reads no further than the device's window of read-ahead, and 128 KiB are the least that is usual.
  constexpr std::size_t kWindow = 128 << 10;
  for (std::size_t done = 0; done < count; done += kWindow)
    ::posix_fadvise(fd_.get(), static_cast<off_t>(offset + done), static_cast<off_t>(std::min(kWindow, count - done)),
                    POSIX_FADV_WILLNEED);
}

void MappedFile::load(std::size_t offset, std::size_t count, bool stays_mapped) const {
  if (!fd_ || offset >= size_) return;
  count = std::min(count, size_ - offset);
  if (count == 0 || looks_cached(offset, count)) return;
  constexpr std::size_t kHuge = 2 << 20;
  const std::size_t begin = offset / kHuge * kHuge;
  const std::size_t end = std::min((offset + count + kHuge - 1) / kHuge * kHuge, size_);
  ::madvise(data_ + begin, end - begin, MADV_HUGEPAGE);
  for (std::size_t at = begin; at < end; at += kHuge) {
    static_cast<void>(*static_cast<volatile std::uint8_t*>(data_ + at));
    if (!stays_mapped) ::madvise(data_ + at, std::min(kHuge, end - at), MADV_DONTNEED);
  }
}

void MappedFile::load_again(std::size_t offset, std::size_t count) const {
  // Pages that are mapped stay: this mapping must not have been read yet.
  ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
  load(offset, count);
}

void MappedFile::advise_random(std::size_t offset, std::size_t count) const {
  if (offset >= size_ || count == 0) return;
  count = std::min(count, size_ - offset);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = offset / page * page;
  // Advice is only that: a kernel that does not know it reads page by page.
  ::madvise(data_ + begin, offset + count - begin, MADV_RANDOM);
}

}  // namespace reef::io
