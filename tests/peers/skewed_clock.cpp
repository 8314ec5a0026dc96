// For LD_PRELOAD: a clock that is three hours ahead, as one is that was never set.
#include <sys/time.h>
#include <time.h>

#include <sys/syscall.h>
#include <unistd.h>

namespace {
constexpr time_t kAhead = 3 * 3600;
}

extern "C" int clock_gettime(clockid_t clock, struct timespec* into) noexcept {
  const long failed = ::syscall(SYS_clock_gettime, clock, into);
  if (failed == 0 && clock == CLOCK_REALTIME) into->tv_sec += kAhead;
  return static_cast<int>(failed);
}

extern "C" time_t time(time_t* into) noexcept {
  timespec found{};
  clock_gettime(CLOCK_REALTIME, &found);
  if (into != nullptr) *into = found.tv_sec;
  return found.tv_sec;
}

extern "C" int gettimeofday(struct timeval* into, void* /*zone*/) noexcept {
  timespec found{};
  clock_gettime(CLOCK_REALTIME, &found);
  *into = {found.tv_sec, found.tv_nsec / 1000};
  return 0;
}
