#include "reef/core/share_work.h"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

using reef::share_work;

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
  std::atomic<int> done{0};
  const auto work = [&](std::size_t worker, std::size_t) {
    if (worker == 1) throw std::runtime_error("from a worker");
    ++done;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  CHECK_THROWS_WITH(share_work(2, 10000, work, [] {}), "from a worker");
  CHECK(done < 10000);
  CHECK_THROWS_WITH(share_work(
                        1, 3, [](std::size_t, std::size_t) {}, [] { throw std::runtime_error("from report"); }),
                    "from report");
}
