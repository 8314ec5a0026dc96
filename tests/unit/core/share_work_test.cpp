#include "reef/core/share_work.h"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/wait_until.h"

using reef::share_work;
namespace test = reef::test;

TEST_CASE("each item is done once, and the calling thread reports") {
  for (const unsigned threads : {0U, 1U, 2U, 5U}) {
    std::vector<std::atomic<int>> done(100);
    const std::thread::id caller = std::this_thread::get_id();
    int reports = 0;
    share_work(
        threads, done.size(), [&](std::size_t, std::size_t item) { ++done[item]; },
        [&] {
          CHECK(std::this_thread::get_id() == caller);
          ++reports;
        });
    for (const auto& count : done) CHECK(count == 1);
    CHECK(reports >= 1);
  }
}

TEST_CASE("an exception in any thread reaches the caller and stops the rest") {
  constexpr std::size_t kItems = 1'000'000'000;
  std::atomic<std::size_t> done{0};
  std::atomic<bool> thrown{false};
  const auto work = [&](std::size_t worker, std::size_t) {
    if (worker == 1) {
      thrown = true;
      throw std::runtime_error("from a worker");
    }
    ++done;
    REQUIRE(test::wait_until([&] { return thrown.load(); }));
  };
  CHECK_THROWS_WITH(share_work(2, kItems, work, [] {}), "from a worker");
  CHECK(done < kItems);
  CHECK_THROWS_WITH(share_work(
                        1, 3, [](std::size_t, std::size_t) {}, [] { throw std::runtime_error("from report"); }),
                    "from report");
}
