#include "reef/text/internal/headings.h"

#include <algorithm>

#include "reef/text/internal/strings.h"

namespace reef::text::internal {
namespace {

// Each block carries its path: a hostile heading of megabytes must not be copied to all of them.
constexpr std::size_t kHeadingBytes = 160;

}  // namespace

void Headings::enter(int level, std::string_view text) {
  const auto at = static_cast<std::size_t>(std::clamp(level, 1, kLevels)) - 1;
  std::fill(levels_.begin() + static_cast<std::ptrdiff_t>(at), levels_.end(), std::string());
  levels_[at] = shortened(collapsed(text.substr(0, character_start(text, 4 * kHeadingBytes))), kHeadingBytes);
  path_.clear();
  for (const std::string& heading : levels_) {
    if (heading.empty()) continue;
    if (!path_.empty()) path_ += " > ";
    path_ += heading;
  }
}

}  // namespace reef::text::internal
