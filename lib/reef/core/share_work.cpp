#include "reef/core/share_work.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "reef/core/cancel.h"

namespace reef {
namespace {

class FirstError {
 public:
  void keep_current() noexcept {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
    stop_ = true;
  }
  bool stop() const noexcept { return stop_; }
  /// After all threads have ended.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  std::atomic<bool> stop_{false};
};

}  // namespace

void share_work(unsigned threads, std::size_t count,
                const std::function<void(std::size_t worker, std::size_t item)>& work,
                const std::function<void()>& report) {
  FirstError error;
  std::atomic<std::size_t> next{0};
  const auto run = [&](std::size_t worker) noexcept {
    try {
      for (std::size_t item = next++; item < count && !error.stop(); item = next++) {
        check_interrupt();
        work(worker, item);
        if (worker == 0) report();
      }
    } catch (...) {
      error.keep_current();
    }
  };
  {
    std::vector<std::jthread> crew;
    const std::size_t wanted = std::min<std::size_t>(std::max(threads, 1U), std::max<std::size_t>(count, 1));
    try {
      for (std::size_t worker = 1; worker < wanted; ++worker) crew.emplace_back(run, worker);
    } catch (const std::system_error&) {
      // EAGAIN: the threads that there are do it all.
    }
    run(0);
  }
  error.rethrow();
  report();
}

}  // namespace reef
