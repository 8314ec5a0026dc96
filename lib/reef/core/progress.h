#pragma once

#include <cstdint>
#include <string_view>

namespace reef {

enum class ProgressUnit { items, bytes };

/// What a long operation tells about itself; `cli` draws it, everything else ignores it.
/// Called from one thread at a time.
class Progress {
 public:
  virtual ~Progress() = default;
  /// A new stage: "embedding", of `total` units (0: unknown).
  virtual void begin(std::string_view stage, std::uint64_t total, ProgressUnit unit) = 0;
  virtual void advance(std::uint64_t count) = 0;
  virtual void end() = 0;
};

/// Shows nothing.
Progress& no_progress();

}  // namespace reef
