#pragma once

#include <array>
#include <string>
#include <string_view>

namespace reef::text::internal {

/// The headings that the text being read stands under.
class Headings {
 public:
  static constexpr int kLevels = 6;

  /// A heading of `level` (1 to 6, clamped) ends every heading of its own level and below.
  void enter(int level, std::string_view text);
  /// "Install > From source"; levels without a heading are left out.
  const std::string& path() const { return path_; }

 private:
  std::array<std::string, kLevels> levels_;
  std::string path_;
};

}  // namespace reef::text::internal
