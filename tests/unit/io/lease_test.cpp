#include "reef/io/lease.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <csignal>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/key_lock.h"
#include "support/temp_dir.h"
#include "support/wait_until.h"
#include "unit/io/child.h"

namespace reef::io {
namespace {

/// A child that does `use`, says so by a file, and waits to be killed.
template <class Use>
pid_t start_user(const fs::path& ready, Use use) {
  const pid_t child = test::start_child([&] {
    use();
    replace_file(ready, "x");
    while (true) ::pause();
    return 0;
  });
  test::wait_until([&] { return fs::exists(ready); });
  return child;
}

void end(pid_t child, const fs::path& ready) {
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  fs::remove(ready);
}

TEST_CASE("a file is in use while a process has it open, or mapped and closed, and free once that was killed") {
  const test::TempDir dir;
  const fs::path file = dir / "file", ready = dir / "ready";
  replace_file(file, std::string(8192, 'x'));
  CHECK(ExclusiveLease(file).is_held());
  const pid_t opener = start_user(ready, [&] { open_file(file, O_RDONLY).release(); });
  CHECK(ExclusiveLease(file).state() == ExclusiveLease::State::in_use);
  end(opener, ready);
  CHECK(ExclusiveLease(file).is_held());

  const pid_t mapper = start_user(ready, [&] {
    const UniqueFd fd = open_file(file, O_RDONLY);
    if (::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0) == MAP_FAILED) ::_exit(1);
  });
  CHECK(ExclusiveLease(file).state() == ExclusiveLease::State::in_use);
  end(mapper, ready);
  CHECK(ExclusiveLease(file).is_held());
  CHECK(ExclusiveLease(dir / "absent").state() == ExclusiveLease::State::unknown);
  CHECK(ExclusiveLease(dir.path()).state() == ExclusiveLease::State::unknown);
}

TEST_CASE("a lease tells that somebody waits to open the file, and asking is no use of it") {
  const test::TempDir dir;
  const fs::path file = dir / "file";
  replace_file(file, "x");
  const auto last_use = [&] {
    struct stat status {};
    REQUIRE(::stat(file.c_str(), &status) == 0);
    return std::pair(status.st_atim.tv_sec, status.st_atim.tv_nsec);
  };
  const timespec long_ago[2] = {{1000, 0}, {2000, 0}};  // of which any use makes a later time
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), long_ago, 0) == 0);
  const auto used = last_use();
  const ExclusiveLease lease(file);
  REQUIRE(lease.is_held());
  CHECK_FALSE(lease.is_wanted());
  const pid_t opener = test::start_child([&] {
    open_file(file, O_RDONLY);
    return 0;
  });
  test::wait_until([&] { return lease.is_wanted(); });
  ::kill(opener, SIGKILL);
  ::waitpid(opener, nullptr, 0);
  CHECK(last_use() == used);
}

TEST_CASE("a name is locked by one process at a time, others are not, and a killed one holds nothing") {
  const test::TempDir dir;
  const fs::path file = dir / "locks", ready = dir / "ready";
  CHECK_FALSE(KeyLock::is_held(file, "a"));
  CHECK_FALSE(fs::exists(file));  // asking makes nothing
  const pid_t holder = start_user(ready, [&] { new KeyLock(file, "a"); });
  CHECK(KeyLock::is_held(file, "a"));
  CHECK_FALSE(KeyLock::is_held(file, "b"));
  const KeyLock other(file, "b");
  CHECK(KeyLock::is_held(file, "b"));
  end(holder, ready);
  int waits = 0;
  const KeyLock now_ours(file, "a", [&] { ++waits; });
  CHECK(KeyLock::is_held(file, "a"));
  CHECK(waits == 0);
  const auto wait = [&] {
    KeyLock(file, "a", [&] {
      ++waits;
      pending_signal = SIGINT;  // or it would wait for ever
    });
  };
  CHECK_THROWS_AS(wait(), Error);
  pending_signal = 0;
  CHECK(waits == 1);
}

}  // namespace
}  // namespace reef::io
