#pragma once

#include <sys/time.h>

#include <chrono>
#include <csignal>

#include "reef/core/cancel.h"

namespace reef::test {

/// SIGALRM, sent after `delay` (below a second; 0: by somebody else) and handled as cli::run handles SIGINT: blocking
/// calls return EINTR and pending_signal is set. Both are put back at the end of the scope.
class SignalSoon {
 public:
  explicit SignalSoon(std::chrono::microseconds delay) {
    struct sigaction action {};
    action.sa_handler = [](int number) { pending_signal = number; };
    ::sigaction(SIGALRM, &action, &before_);
    arm(delay);
  }
  SignalSoon(const SignalSoon&) = delete;
  SignalSoon& operator=(const SignalSoon&) = delete;
  ~SignalSoon() {
    arm(std::chrono::microseconds(0));
    ::sigaction(SIGALRM, &before_, nullptr);
    pending_signal = 0;
  }

 private:
  static void arm(std::chrono::microseconds delay) {
    itimerval timer{};
    timer.it_value.tv_usec = delay.count();
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }

  struct sigaction before_ {};
};

}  // namespace reef::test
