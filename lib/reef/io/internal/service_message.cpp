#include <nlohmann/json.hpp>
#include <optional>

#include "reef/core/table.h"
#include "reef/io/json_service.h"

namespace reef::io {

std::string service_message(std::string_view answer) {
  constexpr std::size_t kMessageCells = 300;
  using Json = nlohmann::json;
  const Json document = Json::parse(answer, nullptr, false);
  // {"error": {"message": …}} of OpenAI, {"error": …} and {"message": …} of others.
  const auto text_at = [](const Json& object, const char* key) -> std::optional<std::string> {
    if (!object.is_object()) return std::nullopt;
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? std::optional(found->get<std::string>()) : std::nullopt;
  };
  std::optional<std::string> message = text_at(document, "error");
  if (!message && document.is_object() && document.contains("error")) message = text_at(document["error"], "message");
  if (!message) message = text_at(document, "message");
  return ellipsis(printable(message.value_or("")), kMessageCells);
}

}  // namespace reef::io
