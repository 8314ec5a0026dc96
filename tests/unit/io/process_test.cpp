#include "reef/io/process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"
#include "unit/io/child.h"
#include "unit/io/signal_soon.h"

namespace reef::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

ProcessResult shell(const std::string& script, const fs::path& output = {}, const ProcessLimits& limits = {}) {
  return run_process({"sh", "-c", script}, output, limits);
}

TEST_CASE("output, stderr and status come back") {
  const test::TempDir dir;
  const ProcessResult result = shell("echo out; echo err >&2; exit 7", dir / "out");
  CHECK(result.status == 7);
  CHECK(result.error_text == "err\n");
  CHECK_FALSE(result.timed_out);
  CHECK(read_file(dir / "out") == "out\n");
  CHECK(shell("echo lost").status == 0);
  CHECK(shell("cat").status == 0);  // stdin is empty
}

TEST_CASE("arguments arrive as they are") {
  const test::TempDir dir;
  CHECK(run_process({"printf", "%s|", "a b", "$HOME", "", "'\"*"}, dir / "out", {}).status == 0);
  CHECK(read_file(dir / "out") == "a b|$HOME||'\"*|");
}

TEST_CASE("programs that are not there or do not run") {
  const test::TempDir dir;
  const auto code_of = [](const std::string& program) {
    try {
      run_process({program}, {}, {});
    } catch (const Error& e) {
      CHECK(std::string(e.what()).find("run ") == 0);
      return e.code();
    }
    return Errc::usage;
  };
  CHECK(code_of("reef-no-such-program") == Errc::not_found);
  CHECK(code_of((dir / "absent").string()) == Errc::not_found);
  replace_file(dir / "text", "no program", 0640);
  CHECK(code_of((dir / "text").string()) == Errc::failed);
  replace_file(dir / "broken",
               "\x7f"
               "ELFbroken",
               0750);
  CHECK(code_of((dir / "broken").string()) == Errc::failed);
  CHECK_THROWS_AS(run_process({}, {}, {}), Error);
  CHECK_THROWS_AS(run_process({"true"}, dir / "absent" / "out", {}), Error);
}

TEST_CASE("a child gets no descriptor, no group and no blocked signal of ours") {
  const test::TempDir dir;
  const UniqueFd leaked(::open("/dev/null", O_RDONLY));  // as a library may have opened it
  CHECK(run_process({"ls", "/proc/self/fd"}, dir / "out", {}).status == 0);
  CHECK(read_file(dir / "out") == "0\n1\n2\n3\n");  // 3 is the folder that ls reads
  CHECK(run_process({"cat", "/proc/self/stat"}, dir / "out", {}).status == 0);
  const std::string stat = read_file(dir / "out");
  const std::string pid = stat.substr(0, stat.find(' '));
  CHECK(stat.find(" " + pid + " ", pid.size()) != std::string::npos);  // pgrp is its own pid
}

TEST_CASE("much on stderr neither blocks nor fills memory") {
  const ProcessResult result = shell("yes complaint | head -c 3000000 >&2; exit 3");
  CHECK(result.status == 3);
  CHECK(result.error_text.size() == 4096);
  CHECK(shell("exec 2>&-; sleep 0.05; exit 4").status == 4);
}

TEST_CASE("at the wall limit the whole group goes") {
  const test::TempDir dir;
  const auto start = steady_clock::now();
  ProcessLimits limits;
  limits.wall = milliseconds(1000);
  const ProcessResult result =
      shell("sleep 60 & echo $! > " + (dir / "pid").string() + "; echo begun >&2; wait", {}, limits);
  CHECK(result.timed_out);
  CHECK(result.status == 128 + SIGKILL);
  CHECK(result.error_text == "begun\n");
  CHECK(steady_clock::now() - start < milliseconds(30'000));
  CHECK(test::ends(dir / "pid"));
}

TEST_CASE("what a program leaves behind is ended with it") {
  const test::TempDir dir;
  const auto start = steady_clock::now();
  CHECK(shell("sleep 60 & echo $! > " + (dir / "pid").string()).status == 0);
  CHECK(steady_clock::now() - start < milliseconds(30'000));  // though sleep holds stderr open
  CHECK(test::ends(dir / "pid"));
}

TEST_CASE("limits of CPU time, memory and file size") {
  const test::TempDir dir;
  ProcessLimits cpu;
  cpu.cpu = std::chrono::seconds(1);
  CHECK(shell("while :; do :; done", {}, cpu).status == 128 + SIGXCPU);
  ProcessLimits output;
  output.output_bytes = 1000;
  CHECK(run_process({"head", "-c", "5000", "/dev/zero"}, dir / "out", output).status != 0);
  CHECK(fs::file_size(dir / "out") == 1000);
  ProcessLimits memory;
  memory.memory_bytes = 64 << 20;
  const std::vector<std::string> greedy = {"dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"};
  CHECK(run_process(greedy, {}, memory).status == 1);
}

TEST_CASE("an interrupt ends the group at once") {
  const test::TempDir dir;
  const auto start = steady_clock::now();
  const test::SignalSoon handler(milliseconds(0));  // the child sends it, when it has got so far
  CHECK_THROWS_WITH_AS(shell("sleep 60 & echo $! > " + (dir / "pid").string() + "; kill -ALRM $PPID; wait"),
                       "interrupted", Error);
  CHECK_THROWS_AS(shell("true"), Error);  // nothing is begun while a signal is pending
  CHECK(steady_clock::now() - start < milliseconds(30'000));
  pending_signal = 0;
  CHECK(test::ends(dir / "pid"));
}

TEST_CASE("the program dies with the process that runs it") {
  const test::TempDir dir;
  const pid_t parent = test::start_child([&] {
    shell("echo $$ > " + (dir / "pid.new").string() + "; mv " + (dir / "pid.new").string() + " " +
          (dir / "pid").string() + "; exec sleep 60");
    return 0;
  });
  REQUIRE(test::wait_until([&] { return fs::exists(dir / "pid"); }));
  ::kill(parent, SIGKILL);
  test::wait_child(parent);
  CHECK(test::ends(dir / "pid"));
}

TEST_CASE("it runs even when the standard descriptors are closed") {
  const test::TempDir dir;
  const int status = test::run_child([&] {
    for (const int fd : {0, 1, 2}) ::close(fd);
    const ProcessResult result = shell("echo out; echo err >&2", dir / "out");
    return result.status == 0 && result.error_text == "err\n" && read_file(dir / "out") == "out\n" ? 0 : 1;
  });
  CHECK(status == 0);
}

TEST_CASE("helpers are found beside the commands, or where a test says") {
  const test::TempDir dir;
  CHECK_THROWS_WITH_AS(helper_path("reef-none"), doctest::Contains("libexec/reef/reef-none is missing"), Error);
  ::setenv("REEF_LIBEXEC", dir.path().c_str(), 1);
  CHECK_THROWS_AS(helper_path("reef-some"), Error);
  replace_file(dir / "reef-some", "#!/bin/sh\n", 0750);
  CHECK(helper_path("reef-some") == dir / "reef-some");
  ::unsetenv("REEF_LIBEXEC");
}

}  // namespace
}  // namespace reef::io
