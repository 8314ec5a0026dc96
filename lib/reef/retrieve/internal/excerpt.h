#pragma once

#include <string>
#include <string_view>

namespace reef::retrieve::internal {

/// The beginning of a text on one line, safe for a terminal.
std::string excerpt(std::string_view text, std::size_t width);

}  // namespace reef::retrieve::internal
