#include "reef/io/lease.h"

#include <fcntl.h>

#include <cerrno>
#include <csignal>

namespace reef::io {

ExclusiveLease::ExclusiveLease(const std::filesystem::path& path, bool writes) {
  // The kernel tells a lease's holder by SIGIO that somebody wants the file; by default that ends a process.
  std::signal(SIGIO, SIG_IGN);
  // O_NOATIME, or asking would count as a use. It is for owners, and a lease is, too.
  fd_ = UniqueFd(::open(path.c_str(), (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NOATIME));
  if (!fd_) return;
  if (::fcntl(fd_.get(), F_SETLEASE, F_WRLCK) == 0) {
    state_ = State::held;
  } else if (errno == EAGAIN || errno == EBUSY) {
    state_ = State::in_use;
  }
}

bool ExclusiveLease::is_wanted() const { return ::fcntl(fd_.get(), F_GETLEASE) != F_WRLCK; }

}  // namespace reef::io
