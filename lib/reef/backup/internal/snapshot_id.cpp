#include "reef/backup/internal/snapshot_id.h"

#include <fmt/format.h>

#include "reef/core/error.h"

namespace reef::backup::internal {

std::string id_of(Time time) {
  const std::string text = to_rfc3339(time);  // 2026-11-30T04:15:00.000Z
  return text.substr(0, 13) + text.substr(14, 2) + text.substr(17, 2) + 'Z';
}

std::optional<Time> time_of_id(const std::string& id) {
  if (id.size() != 18 || id[17] != 'Z') return std::nullopt;
  try {
    const Time time = parse_time(fmt::format("{}:{}:{}", id.substr(0, 13), id.substr(13, 2), id.substr(15)));
    if (id_of(time) == id) return time;
  } catch (const Error&) {
    // another name
  }
  return std::nullopt;
}

std::string next_id(Time time, const std::string& newest) {
  std::string id = id_of(time);
  const std::optional<Time> before = time_of_id(newest);
  if (before && id <= newest) id = id_of(*before + std::chrono::seconds(1));
  return id;
}

}  // namespace reef::backup::internal
