#include "reef/io/file_state.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <ctime>

namespace reef::io {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kUnsettled = 20'000'000;  ///< twice the longest tick, of kernels with HZ=100

std::int64_t nanoseconds(const struct timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }

}  // namespace

std::int64_t file_clock_ns() {
  struct timespec now {};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return nanoseconds(now);
}

std::string file_state(const struct stat& status, std::int64_t before_ns) {
  const std::int64_t modified = nanoseconds(status.st_mtim);
  const std::int64_t changed = nanoseconds(status.st_ctim);
  // A write stamps both; mtime alone may have been set, to any time.
  if (before_ns - changed < kUnsettled) return {};
  return fmt::format("{:x}.{:x}.{:x}.{:x}.{:x}", status.st_dev, status.st_ino, status.st_size, modified, changed);
}

bool changed_just_now(const struct stat& status, std::int64_t before_ns) {
  // Kernels from 6.13 on stamp with a finer clock, which runs ahead of ours by up to a tick.
  const std::int64_t age = before_ns - nanoseconds(status.st_ctim);
  return age < kUnsettled && age > -kUnsettled;
}

}  // namespace reef::io
