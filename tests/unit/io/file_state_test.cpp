#include "reef/io/file_state.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include "support/temp_dir.h"

namespace reef::io {
namespace {

namespace fs = std::filesystem;

struct stat look(const fs::path& path) {
  struct stat info {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info;
}

std::string state_of(const fs::path& path) {
  const std::int64_t before = file_clock_ns();
  return file_state(look(path), before);
}

void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(40)); }

fs::path make(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

TEST_CASE("a file that changed a moment ago has no state, and later one that stays") {
  const test::TempDir dir;
  const fs::path file = make(dir / "a", "one");
  CHECK(state_of(file).empty());
  settle();
  const std::string state = state_of(file);
  CHECK_FALSE(state.empty());
  CHECK(state_of(file) == state);
}

TEST_CASE("every change of a file changes its state") {
  const test::TempDir dir;
  const fs::path file = make(dir / "a", "one");
  settle();
  const std::string state = state_of(file);
  const auto changed = [&] {
    settle();
    const std::string now = state_of(file);
    CHECK_FALSE(now.empty());
    return now != state;
  };
  SUBCASE("other bytes of the same number, with the old time set again") {
    const auto time = fs::last_write_time(file);
    make(file, "two");
    fs::last_write_time(file, time);
    CHECK(changed());
  }
  SUBCASE("appended") {
    std::ofstream(file, std::ios::app) << "!";
    CHECK(changed());
  }
  SUBCASE("another file in its place, as old and as large") {
    make(dir / "b", "one");
    fs::last_write_time(dir / "b", fs::last_write_time(file));
    fs::rename(dir / "b", file);
    CHECK(changed());
  }
  SUBCASE("a hole in place of what was there") {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(::ftruncate(fd, 0) == 0);
    REQUIRE(::ftruncate(fd, 3) == 0);
    ::close(fd);
    CHECK(changed());
  }
}

TEST_CASE("a time of change that lies ahead vouches for nothing") {
  const test::TempDir dir;
  const fs::path file = make(dir / "a", "one");
  settle();
  const struct stat info = look(file);
  const std::int64_t changed = info.st_ctim.tv_sec * std::int64_t{1'000'000'000} + info.st_ctim.tv_nsec;
  CHECK(file_state(info, changed - 1).empty());
  CHECK(file_state(info, changed - std::int64_t{3600} * 1'000'000'000).empty());
  CHECK(file_state(info, changed + 19'999'999).empty());
  CHECK_FALSE(file_state(info, changed + 20'000'000).empty());
}

TEST_CASE("a time of change of the content that was set into the future does no harm") {
  const test::TempDir dir;
  const fs::path file = make(dir / "a", "one");
  fs::last_write_time(file, fs::file_time_type::clock::now() + std::chrono::hours(24));
  settle();
  CHECK_FALSE(state_of(file).empty());
}

TEST_CASE("what is written within one tick of a look is never missed") {
  const test::TempDir dir;
  const fs::path file = make(dir / "a", "0");
  // Many looks at a file that changes as fast as it can: no two of them with one state find different bytes.
  std::string state;
  std::string content;
  int vouched = 0;
  for (int i = 0; i < 2000; ++i) {
    if (i % 100 == 50) settle();
    const std::string now = state_of(file);
    std::string bytes;
    std::ifstream(file) >> bytes;
    if (!now.empty() && now == state) CHECK(bytes == content);
    vouched += now.empty() ? 0 : 1;
    state = now;
    content = bytes;
    if (i % 100 != 49) make(file, std::to_string(i % 10));
  }
  CHECK(vouched > 0);
}

}  // namespace
}  // namespace reef::io
