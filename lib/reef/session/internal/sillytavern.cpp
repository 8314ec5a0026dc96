#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reef/io/checksum.h"
#include "reef/session/internal/conversations.h"
#include "reef/session/internal/json_values.h"

namespace reef::session::internal {
namespace {

using nlohmann::json;

/// What the form has beside the text: the other answers that were made, and who made this one.
json metadata_of(const json& line) {
  json metadata = json::object();
  if (const json& swipes = value_at(line, "swipes"); swipes.is_array() && swipes.size() > 1) {
    metadata["swipes"] = swipes;
    if (const json& chosen = value_at(line, "swipe_id"); !chosen.is_null()) metadata["swipe_id"] = chosen;
  }
  const json& extra = value_at(line, "extra");
  for (const char* key : {"api", "model", "type", "reasoning"})
    if (const std::string text = text_at(extra, key); !text.empty()) metadata[key] = text;
  return metadata;
}

bool is_set(const json& line, const char* key) {
  const json& value = value_at(line, key);
  return value.is_boolean() && value.get<bool>();
}

}  // namespace

std::string TavernChat::header(std::string_view text) {
  std::string fault;
  const json header = parse_object(text, fault);
  if (!fault.empty()) return fault;
  const std::string character = text_at(header, "character_name");
  std::string chat = file_stem_;
  if (chat.empty()) chat = text_at(header, "create_date");
  if (chat.empty()) chat = io::to_hex(io::sha256(text)).substr(0, 16);
  // Chats of all characters are called by their date alone in older versions.
  session_ = character.empty() || chat.starts_with(character) ? chat : fmt::format("{} - {}", character, chat);
  return {};
}

Conversation TavernChat::message(std::string_view text) {
  Conversation out;
  std::string fault;
  const json line = parse_object(text, fault);
  if (fault.empty() && !value_at(line, "mes").is_string())
    fault = value_at(line, "mes").is_null() ? "mes is missing" : "mes is no text";
  if (session_.empty()) session_ = file_stem_;
  if (fault.empty() && session_.empty()) fault = "the chat has no first line with user_name and character_name";
  if (!fault.empty()) {
    out.faults.push_back(fault);
    return out;
  }
  NewMessage message;
  message.session = session_;
  const bool is_system = is_set(line, "is_system") || text_at(value_at(line, "extra"), "type") == "narrator";
  message.role = is_set(line, "is_user") ? "user" : is_system ? "system" : "assistant";
  message.speaker = text_at(line, "name");
  message.content = line.at("mes").get<std::string>();
  message.created = time_of(value_at(line, "send_date"));
  message.metadata = metadata_text(metadata_of(line));
  out.messages.push_back(std::move(message));
  return out;
}

}  // namespace reef::session::internal
