#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "reef/io/file.h"
#include "support/wait_until.h"

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

/// Whether the process of the pid in `file` ends; a zombie that nobody waits for counts, for it runs no more.
inline bool ends(const std::filesystem::path& file) {
  const std::string pid = io::read_file(file);
  return wait_until([number = std::stoi(pid)] {
    if (::kill(number, 0) != 0) return true;
    std::ifstream stat("/proc/" + std::to_string(number) + "/stat");
    return std::string(std::istreambuf_iterator<char>(stat), {}).find(") Z ") != std::string::npos;
  });
}

template <typename Body>
int run_child(Body&& body) {
  return wait_child(start_child(body));
}

}  // namespace reef::test
