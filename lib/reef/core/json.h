#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

namespace reef {

/// One line of JSON. Bytes that are no UTF-8 come out as U+FFFD: a file's odd name must not keep a
/// whole report from being told. Only for the files that include json.hpp anyway (report.cpp).
inline std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

/// Absent text is null, so that a script can tell "none" from "".
inline nlohmann::ordered_json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

/// To four decimals.
inline double rounded(double value) { return std::round(value * 1e4) / 1e4; }

}  // namespace reef
