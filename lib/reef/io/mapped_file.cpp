#include "reef/io/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/stat.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::io {
namespace {

#ifdef MADV_POPULATE_READ
constexpr int kPopulateRead = MADV_POPULATE_READ;
#else
constexpr int kPopulateRead = 22;
#endif

}  // namespace

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

/// Whether the byte can be read without waiting for the disk.
bool is_cached(int fd, std::size_t offset) {
  std::uint8_t byte = 0;
  iovec into{&byte, 1};
  return ::preadv2(fd, &into, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
}

}  // namespace

void MappedFile::read_ahead(std::size_t offset, std::size_t count) const {
  if (!fd_ || offset >= size_) return;
  count = std::min(count, size_ - offset);
  if (count == 0) return;  // a length of 0 would mean "to the end" to the kernel
  // The kernel looks at every page of the range even when all are there; three samples tell what
  // a file that is evicted as a whole looks like, in a tenth of the time.
  const std::size_t last = offset + count - 1;
  if (is_cached(fd_.get(), offset) && is_cached(fd_.get(), offset + count / 2) && is_cached(fd_.get(), last)) return;
  ::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(count), POSIX_FADV_WILLNEED);
}

void MappedFile::populate(std::size_t offset, std::size_t count) const { advise(offset, count, kPopulateRead); }

void MappedFile::advise_random(std::size_t offset, std::size_t count) const { advise(offset, count, MADV_RANDOM); }

void MappedFile::advise(std::size_t offset, std::size_t count, int advice) const {
  if (offset >= size_ || count == 0) return;
  count = std::min(count, size_ - offset);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = offset / page * page;
  // Advice is only that: a kernel that does not know it reads page by page.
  ::madvise(data_ + begin, offset + count - begin, advice);
}

}  // namespace reef::io
