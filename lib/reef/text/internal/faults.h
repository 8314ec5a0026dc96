#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "reef/text/extract.h"

namespace reef::text::internal {

/// Faults of single lines, the first by name and the rest as a number: a file of rubbish must not
/// fill the memory with reasons.
class FaultList {
 public:
  void add(std::uint64_t line, std::string reason, bool unread = true) {
    if (++count_ <= kNamed) faults_.push_back({line, std::move(reason), unread});
  }
  std::uint64_t count() const { return count_; }
  std::vector<Fault> take() {
    if (count_ > kNamed) faults_.push_back({0, fmt::format("{} more could not be read", count_ - kNamed)});
    count_ = 0;
    return std::exchange(faults_, {});
  }

 private:
  static constexpr std::uint64_t kNamed = 1000;
  std::vector<Fault> faults_;
  std::uint64_t count_ = 0;
};

}  // namespace reef::text::internal
