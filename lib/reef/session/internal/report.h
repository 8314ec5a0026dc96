#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace reef::session::internal {

/// "1 message", "2,000 messages".
std::string counted(std::uint64_t count, const char* one, const char* many);
nlohmann::ordered_json text_or_null(const std::string& text);

}  // namespace reef::session::internal
