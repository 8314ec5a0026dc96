#include "reef/session/internal/report.h"

#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/units.h"

namespace reef::session::internal {

std::string counted(std::uint64_t count, const char* one, const char* many) {
  return fmt::format("{} {}", format_count(count), count == 1 ? one : many);
}

nlohmann::ordered_json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

}  // namespace reef::session::internal
