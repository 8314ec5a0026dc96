#pragma once

#include <string>
#include <vector>

#include "reef/tree/config.h"

namespace reef::tree::internal {

/// Both throw Error{usage}; the other types are read by core/units.h.
double parse_number(const std::string& text);
bool parse_flag(const std::string& text);

/// Throws Error{usage} unless the key takes a value, or an item of a list, such as `text`.
void check_value(const ConfigKey& key, const std::string& text);

std::vector<std::string> words_of(const Limits& limits);
/// " from 0 to 1", " from 0", or nothing.
std::string range_text(const Limits& limits);

}  // namespace reef::tree::internal
