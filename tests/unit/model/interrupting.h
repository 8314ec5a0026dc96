#pragma once

#include <csignal>
#include <cstdint>
#include <string_view>

#include "reef/core/cancel.h"
#include "reef/core/progress.h"

namespace reef::test {

/// Raises a signal once so many bytes are through.
class Interrupting : public Progress {
 public:
  explicit Interrupting(std::uint64_t after) : after_(after) {}
  void begin(std::string_view, std::uint64_t, ProgressUnit) override {}
  void advance(std::uint64_t count) override {
    bytes_ += count;
    if (bytes_ >= after_) pending_signal = SIGINT;
  }
  void end() override {}

 private:
  std::uint64_t after_;
  std::uint64_t bytes_ = 0;
};

}  // namespace reef::test
