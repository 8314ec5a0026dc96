#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "reef/text/internal/text_reader.h"

namespace reef::text::internal {

/// The lines of a file of any length. A long line is measured before memory is taken for it, so
/// that one without an end costs nothing but the time to read over it.
class LineFile {
 public:
  static constexpr std::uint64_t kLongest = 64 << 20;

  struct Line {
    std::string_view bytes;  ///< without its line feed; valid until the next call; empty if too long
    std::uint64_t number = 0;
    std::uint64_t length = 0;
    bool too_long = false;
  };

  explicit LineFile(const InputFile& file);
  std::optional<Line> next();

 private:
  void refill();
  Line long_line();

  const InputFile& file_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t offset_ = 0;  ///< of the file behind buffer_[end_)
  std::uint64_t number_ = 0;
  std::string long_;
};

}  // namespace reef::text::internal
