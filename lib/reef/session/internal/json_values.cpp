#include "reef/session/internal/json_values.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reef/session/internal/conversations.h"
#include "reef/session/internal/json_text.h"
#include "reef/session/internal/own_format.h"

namespace reef::session::internal {
namespace {

using nlohmann::json;

/// Whether brackets stand deeper than `limit` in each other: asked before a tree is made of them.
bool is_deeper(std::string_view text, std::size_t limit) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > limit) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

std::string text_of_part(const json& part) {
  if (part.is_string()) return part.get<std::string>();
  if (!part.is_object()) return {};
  for (const char* key : {"text", "refusal", "transcript"})
    if (value_at(part, key).is_string()) return part.at(key).get<std::string>();
  std::string kind = text_at(part, "type");
  if (kind.empty()) kind = text_at(part, "content_type");
  if (kind == "tool_result") return text_of_parts(value_at(part, "content"));
  for (const char* known : {"image", "audio", "video", "file"}) {
    if (kind.find(known) == std::string::npos) continue;
    kind = known;
    break;
  }
  std::string name = text_at(part, "name");
  if (name.empty()) name = text_at(part, "filename");
  if (name.empty()) name = text_at(value_at(part, "file"), "filename");
  if (kind.empty()) return {};
  return name.empty() ? fmt::format("[{}]", kind) : fmt::format("[{}: {}]", kind, name);
}

}  // namespace

json parse_object(std::string_view text, std::string& fault) {
  if (is_deeper(text, kDeepestJson)) {
    fault = fmt::format("nested deeper than {}", kDeepestJson);
    return json::object();
  }
  try {
    json value = json::parse(text.begin(), text.end());
    if (value.is_object()) return value;
    fault = "not a JSON object";
  } catch (const json::parse_error& error) {
    fault = json_fault(error.what(), error.byte);
  } catch (const json::exception& error) {  // a number beyond all
    fault = json_fault(error.what(), 0);
  }
  return json::object();
}

const json& value_at(const json& object, const char* key) {
  static const json kNothing;
  if (!object.is_object()) return kNothing;
  const auto at = object.find(key);
  return at == object.end() ? kNothing : *at;
}

std::string text_at(const json& object, const char* key) {
  const json& value = value_at(object, key);
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_integer() ? value.dump() : "";
}

std::string time_of(const json& value) {
  if (value.is_number()) return database_time_of_number(value.get<double>());
  return value.is_string() ? time_of_send_date(value.get_ref<const std::string&>()) : "";
}

std::string text_of_parts(const json& parts) {
  if (!parts.is_array()) return text_of_part(parts);
  std::string text;
  for (const json& part : parts) {
    const std::string piece = text_of_part(part);
    if (!text.empty() && !piece.empty()) text += '\n';
    text += piece;
  }
  return text;
}

std::string metadata_text(const json& object) {
  return object.empty() ? "" : object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace reef::session::internal
