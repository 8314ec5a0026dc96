#include "reef/core/log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/progress.h"
#include "support/temp_dir.h"

namespace reef {
namespace {

/// What `body` writes to stderr.
template <typename Body>
std::string captured(Body&& body) {
  const test::TempDir dir;
  const std::string path = dir / "stderr";
  const int before = ::dup(STDERR_FILENO);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  ::dup2(file, STDERR_FILENO);
  body();
  ::dup2(before, STDERR_FILENO);
  ::close(file);
  ::close(before);
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

int hook_calls = 0;

TEST_CASE("verbosity decides which lines are shown") {
  const auto all = [] {
    log_warn("w{}", 1);
    log_info("i");
    log_step("s");
    log_detail("d");
  };
  configure_log("reef-x", Verbosity::quiet);
  CHECK(captured(all).empty());
  configure_log("reef-x", Verbosity::normal);
  CHECK(captured(all) == "reef-x: warning: w1\nreef-x: i\n");
  configure_log("reef-x", Verbosity::steps);
  CHECK(captured(all) == "reef-x: warning: w1\nreef-x: i\nreef-x: s\n");
  configure_log("reef-x", Verbosity::detail);
  CHECK(captured(all) == "reef-x: warning: w1\nreef-x: i\nreef-x: s\nreef-x: d\n");
  configure_log("reef", Verbosity::normal);
}

TEST_CASE("a line of talk is announced and cannot steer the terminal") {
  on_log_line([] { ++hook_calls; });
  CHECK(captured([] { log_info("title {}", "\x1b[2J"); }) == "reef: title \\x1b[2J\n");
  log_step("not shown");
  CHECK(hook_calls == 1);
  on_log_line(nullptr);
}

TEST_CASE("lines of several threads stay whole") {
  const std::string text = captured([] {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 100; ++i) log_info("{:60}", "x");
      });
    }
  });
  CHECK(text.size() == 400 * (std::string("reef: \n").size() + 60));
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = text.find("reef: x", at)) != std::string::npos; ++at) ++lines;
  CHECK(lines == 400);
}

TEST_CASE("a pending signal stops the work") {
  CHECK_NOTHROW(check_interrupt());
  pending_signal = SIGINT;
  CHECK_THROWS_AS(check_interrupt(), Error);
  pending_signal = 0;
}

TEST_CASE("progress can be told to nobody") {
  no_progress().begin("embedding", 10, ProgressUnit::items);
  no_progress().advance(1);
  no_progress().end();
}

TEST_CASE("errno becomes an Error with a next step") {
  try {
    errno = ENOSPC;
    throw_errno("write", "/x");
  } catch (const Error& e) {
    CHECK(e.code() == Errc::failed);
    CHECK(std::string(e.what()) == "write /x: No space left on device");
    CHECK(e.hint().find("free some space") == 0);
  }
  errno = ENOENT;
  CHECK_THROWS_WITH_AS(throw_errno("open", "/x"), "open /x: No such file or directory", Error);
  CHECK(exit_status(Errc::locked) == 6);
}

}  // namespace
}  // namespace reef
