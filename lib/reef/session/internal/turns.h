#pragma once

#include <chrono>
#include <thread>

namespace reef::session::internal {

/// The work of one transaction; its commit, which writes the full text's share, takes about as long again.
class Turn {
 public:
  bool is_over() const { return Clock::now() >= end_; }
  /// Between two transactions: SQLite has no queue, so that who waits has to find the database free when it looks.
  static void of_others() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_ = Clock::now() + std::chrono::milliseconds(10);
};

}  // namespace reef::session::internal
