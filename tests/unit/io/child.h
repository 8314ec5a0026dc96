#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace reef::test {

/// Runs `body` in a child of its own and returns how that ended, as waitpid(2) says it.
/// The child leaves by _exit: it must not run the test runner's own clean-up.
template <typename Body>
pid_t start_child(Body&& body) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    int status = 99;
    try {
      status = body();
    } catch (...) {
      status = 98;
    }
    ::_exit(status);
  }
  return pid;
}

inline int wait_child(pid_t pid) {
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return status;
}

template <typename Body>
int run_child(Body&& body) {
  return wait_child(start_child(body));
}

}  // namespace reef::test
