#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"
#include "unit/io/child.h"
#include "unit/io/signal_soon.h"
#include "unit/io/small_disk.h"

namespace reef::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A child that holds the lock until it is killed; back when it has it.
pid_t hold_in_child(const fs::path& path) {
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t pid = test::start_child([&] {
    const LockFile lock(path);
    [[maybe_unused]] const ssize_t written = ::write(ready[1], "x", 1);
    while (true) ::pause();
    return 0;
  });
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  ::close(ready[0]);
  ::close(ready[1]);
  return pid;
}

TEST_CASE("a lock names its holder and dies with it") {
  const test::TempDir dir;
  const fs::path path = dir / ".lock";
  const pid_t holder = hold_in_child(path);
  try {
    const LockFile lock(path);
    FAIL("two processes hold the lock");
  } catch (const Error& e) {
    CHECK(e.code() == Errc::locked);
    CHECK(e.what() == path.string() + " is locked by process " + std::to_string(holder));
    CHECK(e.hint() == "wait for that run to end, or pass --wait 10m");
  }
  ::kill(holder, SIGKILL);
  test::wait_child(holder);
  CHECK_NOTHROW(LockFile{path});
}

TEST_CASE("a lock is free again at the end of the scope") {
  const test::TempDir dir;
  { const LockFile lock(dir / ".lock"); }
  const LockFile again(dir / ".lock");
  CHECK(read_file(dir / ".lock") == std::to_string(::getpid()) + "\n");
}

TEST_CASE("waiting ends with the lock, at the limit, or with a signal") {
  const test::TempDir dir;
  const fs::path path = dir / ".lock";
  const pid_t holder = hold_in_child(path);
  auto start = steady_clock::now();
  CHECK_THROWS_AS(LockFile(path, milliseconds(60)), Error);
  CHECK(steady_clock::now() - start >= milliseconds(60));

  start = steady_clock::now();
  {
    const test::SignalSoon signal(milliseconds(50));
    CHECK_THROWS_WITH_AS(LockFile(path, milliseconds(20'000)), "interrupted", Error);
  }
  {
    const std::jthread killer([holder, waiter = ::gettid()] {
      test::wait_until([waiter] { return test::is_asleep(waiter); });
      ::kill(holder, SIGKILL);
    });
    CHECK_NOTHROW(LockFile(path, milliseconds(20'000)));
  }
  CHECK(steady_clock::now() - start < milliseconds(15'000));
  test::wait_child(holder);
}

TEST_CASE("a lock file that was removed under its holder keeps nobody out in vain") {
  const test::TempDir dir;
  const fs::path path = dir / ".lock";
  const pid_t holder = hold_in_child(path);
  fs::remove(path);
  CHECK_NOTHROW(LockFile{path});  // a new file: the old one has no name any more
  ::kill(holder, SIGKILL);
  test::wait_child(holder);
}

TEST_CASE("a full disk does not keep the lock from being taken") {
  const test::SmallDisk disk(64 << 10);
  if (!disk.mounted()) return;
  const fs::path path = disk.path() / ".lock";
  { const UniqueFd made = open_file(path, O_RDWR | O_CREAT); }
  CHECK_THROWS_AS(replace_file(disk.path() / "fill", std::string(128 << 10, 'x')), Error);
  const UniqueFd fill = open_file(disk.path() / "fill", O_RDWR | O_CREAT);
  CHECK_THROWS_AS(write_all(fill.get(), std::string(128 << 10, 'x'), "fill"), Error);
  const LockFile lock(path);
  CHECK_THROWS_WITH_AS(LockFile{path}, (path.string() + " is locked by another process").c_str(), Error);
}

TEST_CASE("a lock in a folder that does not exist") {
  const test::TempDir dir;
  CHECK_THROWS_AS(LockFile(dir / "absent" / ".lock"), Error);
}

}  // namespace
}  // namespace reef::io
