#include "reef/io/direct_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "reef/core/log.h"

namespace reef::io {
namespace {

/// mincore(2) says yes to everything about files of others (since Linux 5.2).
bool may_ask_about(const MappedFile& file) {
  struct stat status {};
  if (::fstat(file.fd(), &status) != 0) return false;
  return ::geteuid() == status.st_uid || ::access(file.path().c_str(), W_OK) == 0;
}

}  // namespace

DirectFile::DirectFile(const fs::path& path) : plain_(path), knows_cache_(may_ask_about(plain_)) {
  direct_ = UniqueFd(plain_io() ? -1 : ::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOATIME));
  if (!direct_ && !plain_io() && errno == EPERM)  // O_NOATIME is for owners
    direct_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  if (!direct_) refuse_direct();
}

void DirectFile::refuse_direct() const {
  if (refused_.exchange(true) || plain_io()) return;
  log_step("{}: the filesystem refuses direct reads; reading through the page cache", shown(path()));
}

std::span<const std::uint8_t> DirectFile::cached(std::uint64_t offset, std::size_t bytes) const {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (!knows_cache_ || bytes == 0 || offset % page != 0 || offset + bytes > size()) return {};
  auto* begin = const_cast<std::uint8_t*>(plain_.data()) + offset;
  std::vector<unsigned char> in_memory((bytes + page - 1) / page);
  if (::mincore(begin, bytes, in_memory.data()) != 0) return {};
  if (!std::all_of(in_memory.begin(), in_memory.end(), [](unsigned char state) { return (state & 1) != 0; })) return {};
  // One call for 512 faults. What cannot be read is an error of a read then, and not SIGBUS here.
  if (::madvise(begin, bytes, MADV_POPULATE_READ) != 0 && errno != EINVAL) return {};
  return {begin, bytes};
}

bool DirectFile::copy_cached(std::uint64_t offset, std::size_t bytes, std::uint8_t* into) const {
  const auto range = cached(offset, bytes);
  if (range.empty()) return false;
  std::copy(range.begin(), range.end(), into);
  release(range);
  return true;
}

void DirectFile::release(std::span<const std::uint8_t> range) const {
  if (!range.empty()) ::madvise(const_cast<std::uint8_t*>(range.data()), range.size(), MADV_DONTNEED);
}

void DirectFile::forget(std::uint64_t offset, std::size_t bytes) const {
  ::posix_fadvise(plain_.fd(), static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_DONTNEED);
}

}  // namespace reef::io
