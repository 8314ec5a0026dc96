#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "reef/io/checksum.h"

namespace reef::model::internal {

/// Digests of ranges that follow one another, while their file passes by.
class RangeDigests {
 public:
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::string* digest = nullptr;  ///< gets it, in hexadecimal digits
  };
  void add(const Range& range) { ranges_.push_back(range); }

  /// The next bytes of the file; at its end none, for empty ranges there.
  void take(std::uint64_t offset, std::span<const std::uint8_t> bytes);

 private:
  std::vector<Range> ranges_;
  std::size_t next_ = 0;
  io::Sha256 hash_;
};

}  // namespace reef::model::internal
