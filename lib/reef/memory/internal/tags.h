#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reef::memory::internal {

/// Column memories.tags: a JSON array of strings. What is no such array reads as none.
std::vector<std::string> parse_tags(std::string_view json);
/// `tags` and those of `more` that are not among them.
std::string tags_json(std::vector<std::string> tags, const std::vector<std::string>& more = {});

}  // namespace reef::memory::internal
