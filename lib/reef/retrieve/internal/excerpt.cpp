#include "reef/retrieve/internal/excerpt.h"

#include "reef/core/table.h"

namespace reef::retrieve::internal {

std::string excerpt(std::string_view text, std::size_t width) {
  std::string line;
  for (const char c : text.substr(0, 4 * width)) {
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!space)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  return ellipsis(printable(line), width);
}

}  // namespace reef::retrieve::internal
