#include "reef/memory/internal/tags.h"

#include <algorithm>

#include "reef/core/json.h"

namespace reef::memory::internal {

std::vector<std::string> parse_tags(std::string_view json) {
  std::vector<std::string> tags;
  const auto parsed = nlohmann::json::parse(json, nullptr, false);
  if (!parsed.is_array()) return tags;
  for (const auto& tag : parsed)
    if (tag.is_string()) tags.push_back(tag.get<std::string>());
  return tags;
}

std::string tags_json(std::vector<std::string> tags, const std::vector<std::string>& more) {
  for (const std::string& tag : more)
    if (std::find(tags.begin(), tags.end(), tag) == tags.end()) tags.push_back(tag);
  return dump(nlohmann::ordered_json(tags));
}

}  // namespace reef::memory::internal
