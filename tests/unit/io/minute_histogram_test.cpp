#include "reef/io/minute_histogram.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "reef/io/file.h"
#include "support/temp_dir.h"
#include "unit/io/child.h"
#include "unit/io/small_disk.h"

namespace reef::io {
namespace {

using std::chrono::microseconds;
using std::chrono::minutes;

constexpr std::uintmax_t kFileBytes = 4096 + 1440 * 336 * 8;
const Time kNow = parse_time("2026-11-24T08:15:30Z");

TEST_CASE("buckets hold 10 us to 10 s within 3.2 %") {
  double worst = 0;
  for (double us = 1; us < 16e6; us *= 1.0007) {
    const microseconds latency(static_cast<std::int64_t>(us));
    const auto middle = static_cast<double>(LatencyCounts::middle_of(LatencyCounts::bucket_of(latency)).count());
    worst = std::max(worst, std::abs(middle / static_cast<double>(latency.count()) - 1));
  }
  CHECK(worst < 0.032);
  std::size_t last = 0;
  for (std::int64_t us = 0; us < 200'000; ++us) {
    const std::size_t bucket = LatencyCounts::bucket_of(microseconds(us));
    CHECK_UNARY(bucket == last || bucket == last + 1);  // no gap, no step back
    last = bucket;
  }
  CHECK(LatencyCounts::bucket_of(microseconds(-5)) == 0);
  CHECK(LatencyCounts::bucket_of(microseconds::max()) == LatencyCounts::kBuckets - 1);
}

TEST_CASE("percentiles of many latencies are near the exact ones") {
  const test::TempDir dir;
  MinuteHistogram histogram(dir / "h.bin");
  std::mt19937 random(7);
  std::lognormal_distribution<double> draw(9.4, 0.8);  // around 12 ms
  std::vector<std::int64_t> exact(20'000);
  for (auto& us : exact) {
    us = static_cast<std::int64_t>(draw(random));
    REQUIRE(histogram.record(kNow - minutes(us % 60), microseconds(us)));
  }
  std::sort(exact.begin(), exact.end());
  const LatencyCounts hour = MinuteHistogram(dir / "h.bin").window(kNow, minutes(60));
  CHECK(hour.count() == exact.size());
  for (const double q : {0.0, 0.5, 0.9, 0.99, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(q * static_cast<double>(exact.size()))));
    CHECK(static_cast<double>(hour.percentile(q)->count()) ==
          doctest::Approx(static_cast<double>(exact[rank - 1])).epsilon(0.033));
  }
}

TEST_CASE("a window takes its minutes and no others") {
  const test::TempDir dir;
  MinuteHistogram histogram(dir / "h.bin");
  CHECK(histogram.window(kNow, minutes(60)).count() == 0);  // no file yet, and none is made
  CHECK_FALSE(fs::exists(dir / "h.bin"));
  CHECK_FALSE(histogram.window(kNow, minutes(60)).percentile(0.5));
  for (int age = 0; age < 2000; ++age) REQUIRE(histogram.record(kNow + minutes(age), microseconds(100)));
  const Time newest = kNow + minutes(1999);
  CHECK(histogram.window(newest, minutes(1)).count() == 1);
  CHECK(histogram.window(newest, minutes(60)).count() == 60);
  CHECK(histogram.window(newest, minutes(5000)).count() == 1440);
  CHECK(histogram.window(newest, minutes(0)).count() == 0);
  CHECK(histogram.window(newest, minutes(-1)).count() == 0);
  CHECK(histogram.window(newest + minutes(10), minutes(60)).count() == 50);
  CHECK(histogram.window(kNow, minutes(1)).count() == 0);  // its slot was taken since
  REQUIRE(histogram.record(kNow, microseconds(100)));      // a clock that was set back
  CHECK(histogram.window(kNow, minutes(1)).count() == 1);
}

TEST_CASE("threads and processes that count at once lose nothing") {
  const test::TempDir dir;
  const fs::path path = dir / "h.bin";
  constexpr int kWriters = 4;
  constexpr int kEach = 5000;
  const auto process = [&] {
    MinuteHistogram histogram(path);  // the four of them race to make the file
    if (!histogram.record(kNow, microseconds(1))) return 1;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) histogram.record(kNow + minutes(i % 2), microseconds(5000));
      });
    }
    return 0;
  };
  std::vector<pid_t> children;
  for (int i = 0; i < kWriters; ++i) children.push_back(test::start_child(process));
  for (const pid_t child : children) CHECK(test::wait_child(child) == 0);
  const LatencyCounts counts = MinuteHistogram(path).window(kNow + minutes(1), minutes(2));
  CHECK(counts.count() == kWriters * (2 * kEach + 1));
  CHECK(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()) == 1);  // no temporary file
}

TEST_CASE("a writer killed at any moment leaves a file that works") {
  const test::TempDir dir;
  const fs::path path = dir / "h.bin";
  for (int round = 0; round < 20; ++round) {
    const bool is_new = round < 10;
    if (is_new) fs::remove(path);
    const auto recorded = [&] { return MinuteHistogram(path).window(kNow, minutes(1)).count(); };
    const std::uint64_t before = is_new ? 0 : recorded();
    const pid_t child = test::start_child([&] {
      MinuteHistogram histogram(path);
      while (histogram.record(kNow, microseconds(100))) {
      }
      return 1;
    });
    if (is_new)
      while (fs::is_empty(dir.path())) std::this_thread::yield();  // killed while it makes the file
    else
      REQUIRE(test::wait_until([&] { return recorded() > before; }));
    ::kill(child, SIGKILL);
    test::wait_child(child);
  }
  MinuteHistogram histogram(path);
  const std::uint64_t before = histogram.window(kNow, minutes(1)).count();
  CHECK(histogram.record(kNow, microseconds(100)));
  CHECK(histogram.window(kNow, minutes(1)).count() == before + 1);
}

TEST_CASE("damaged and foreign files are replaced") {
  const test::TempDir dir;
  const fs::path path = dir / "h.bin";
  const auto works = [&] {
    CHECK(MinuteHistogram(path).window(kNow, minutes(1)).count() == 0);
    MinuteHistogram histogram(path);
    CHECK(histogram.record(kNow, microseconds(100)));
    CHECK(histogram.window(kNow, minutes(1)).count() == 1);
    CHECK(fs::file_size(path) == kFileBytes);
  };
  for (const std::string& content : {std::string(), std::string("text"), std::string(kFileBytes, 'x')}) {
    replace_file(path, content);
    works();
  }
  std::string bytes = read_file(path);
  replace_file(path, std::string_view(bytes).substr(0, bytes.size() - 1));
  works();
  bytes[8] = 9;  // another byte order
  replace_file(path, bytes);
  works();
}

TEST_CASE("what stands in its place and is no file stays, and holds nobody up") {
  const test::TempDir dir;
  const fs::path path = dir / "h.bin";
  const auto refused = [&] {
    MinuteHistogram histogram(path);
    CHECK_FALSE(histogram.record(kNow, microseconds(100)));
    CHECK_FALSE(histogram.record(kNow, microseconds(100)));
    CHECK(histogram.window(kNow, minutes(1)).count() == 0);
    CHECK(fs::exists(fs::symlink_status(path)));
    fs::remove(path);
  };
  fs::create_directory(path);
  refused();
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  refused();
  fs::create_symlink("/dev/null", path);
  refused();
  CHECK_FALSE(MinuteHistogram(dir / "absent" / "h.bin").record(kNow, microseconds(1)));
}

TEST_CASE("a read-only tree can be looked at and not written") {
  test::SmallDisk disk(8 << 20);
  if (!disk.mounted()) return;
  CHECK(MinuteHistogram(disk.path() / "h.bin").record(kNow, microseconds(100)));
  REQUIRE(disk.make_read_only());
  MinuteHistogram histogram(disk.path() / "h.bin");
  CHECK_FALSE(histogram.record(kNow, microseconds(100)));
  CHECK(histogram.window(kNow, minutes(1)).count() == 1);
  CHECK_FALSE(MinuteHistogram(disk.path() / "other.bin").record(kNow, microseconds(100)));
}

TEST_CASE("a full disk costs counts, never the process") {
  test::SmallDisk disk(8 << 20);
  if (!disk.mounted()) return;
  const auto fill = [&] {
    const UniqueFd fd = open_file(disk.path() / "fill", O_RDWR | O_CREAT | O_APPEND);
    CHECK_THROWS(write_all(fd.get(), std::string(16 << 20, 'x'), "fill"));
  };
  {
    fill();
    CHECK_FALSE(MinuteHistogram(disk.path() / "h.bin").record(kNow, microseconds(100)));
    CHECK_FALSE(fs::exists(disk.path() / "h.bin"));
    fs::remove(disk.path() / "fill");
  }
  // With the file there, its blocks are: counting goes on.
  MinuteHistogram histogram(disk.path() / "h.bin");
  REQUIRE(histogram.record(kNow, microseconds(100)));
  fill();
  for (int i = 0; i < 1440; ++i) CHECK(histogram.record(kNow + minutes(i), microseconds(i)));
}

TEST_CASE("a copy with holes on a full disk raises no SIGBUS") {
  test::SmallDisk disk(8 << 20);
  if (!disk.mounted()) return;
  const fs::path path = disk.path() / "h.bin";
  const int status = test::run_child([&] {
    MinuteHistogram histogram(path);
    if (!histogram.record(kNow, microseconds(100))) return 1;
    // Opened whole, then punched: as hostile as a copy can be.
    const UniqueFd fd = open_file(path, O_RDWR);
    if (::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, kFileBytes - 4096) != 0) return 2;
    const UniqueFd fill = open_file(disk.path() / "fill", O_RDWR | O_CREAT | O_APPEND);
    try {
      write_all(fill.get(), std::string(16 << 20, 'x'), "fill");
    } catch (const std::exception&) {
    }
    if (histogram.record(kNow, microseconds(100))) return 3;
    if (MinuteHistogram(path).record(kNow, microseconds(100))) return 4;
    if (::ftruncate(fd.get(), 4096) != 0) return 5;
    return histogram.record(kNow, microseconds(100)) ? 6 : 0;
  });
  CHECK(status == 0);
}

}  // namespace
}  // namespace reef::io
