#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>

#include "reef/core/cancel.h"

namespace reef::backup::internal {

/// Lets items that several threads work on pass one place in their order.
class InOrder {
 public:
  /// Runs `pass` once all items before this one have passed. Throws what stop() was given.
  template <typename Pass>
  void pass(std::size_t item, Pass pass_through) {
    std::unique_lock lock(mutex_);
    // A signal may have stopped the item that is waited for before it began.
    while (next_ != item && !stopped_) {
      turn_.wait_for(lock, std::chrono::milliseconds(50));
      check_interrupt();
    }
    if (stopped_) std::rethrow_exception(stopped_);
    pass_through();
    ++next_;
    turn_.notify_all();
  }

  /// Called where an item fails: those after it would wait for ever.
  void stop(std::exception_ptr why) {
    const std::lock_guard lock(mutex_);
    if (!stopped_) stopped_ = std::move(why);
    turn_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable turn_;
  std::size_t next_ = 0;
  std::exception_ptr stopped_;
};

}  // namespace reef::backup::internal
