#include "reef/io/key_lock.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"

namespace reef::io {
namespace {

struct flock byte_of(std::string_view key) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(xxh3({reinterpret_cast<const std::uint8_t*>(key.data()), key.size()}) >> 2);
  lock.l_len = 1;
  return lock;
}

}  // namespace

KeyLock::KeyLock(const std::filesystem::path& file, std::string_view key, const std::function<void()>& on_wait)
    : file_(file) {
  // A signal must end the wait, and one that comes before fcntl(F_OFD_SETLKW) begins would not.
  constexpr auto kPeriod = std::chrono::milliseconds(5);
  struct flock lock = byte_of(key);
  bool waits = false;
  do {
    fd_ = open_file(file, O_RDWR | O_CREAT | O_CLOEXEC);
    while (::fcntl(fd_.get(), F_OFD_SETLK, &lock) != 0) {
      if (errno != EAGAIN && errno != EACCES && errno != EINTR) throw_errno("lock", shown(file));
      check_interrupt();
      if (!waits && on_wait) on_wait();
      waits = true;
      std::this_thread::sleep_for(kPeriod);
    }
  } while (!is_valid());
}

bool KeyLock::is_valid() const {
  struct stat held {
  }, named{};
  return ::fstat(fd_.get(), &held) == 0 && ::stat(file_.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

bool KeyLock::is_held(const std::filesystem::path& file, std::string_view key) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return false;
  if (!fd) throw_errno("open", shown(file));
  struct flock lock = byte_of(key);
  if (::fcntl(fd.get(), F_OFD_GETLK, &lock) != 0) throw_errno("lock", shown(file));
  return lock.l_type != F_UNLCK;
}

}  // namespace reef::io
