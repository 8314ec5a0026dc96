#pragma once

#include <chrono>
#include <string>

#include "reef/core/progress.h"

namespace reef::cli {

/// One line on stderr, redrawn at most ten times a second and only when it changed; it takes
/// itself off the screen before any other talk.
class TerminalProgress : public Progress {
 public:
  TerminalProgress();
  void begin(std::string_view stage, std::uint64_t total, ProgressUnit unit) override;
  void advance(std::uint64_t count) override;
  void end() override;

 private:
  void draw();
  std::string line() const;

  std::string stage_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;
  ProgressUnit unit_ = ProgressUnit::items;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace reef::cli
