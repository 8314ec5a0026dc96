#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

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

constexpr std::size_t kMostUnnamed = 64;

}  // namespace

Conversation TavernChat::header(std::string_view text) {
  Conversation out = end();
  std::string fault;
  const json header = parse_object(text, fault);
  if (!fault.empty()) {
    out.faults.push_back(fault);
    return out;
  }
  created_ = text_at(header, "create_date");
  chat_ = file_stem_.empty() ? created_ : file_stem_;
  if (chat_.empty()) chat_ = io::to_hex(io::sha256(text)).substr(0, 16);
  session_.clear();
  place_ = 0;
  const std::string character = text_at(header, "character_name");
  // Groups have no character, and newer versions write "unused" in all chats.
  if (!character.empty() && character != "unused") name_session(character);
  return out;
}

void TavernChat::name_session(std::string_view character) {
  // Chats of all characters are called by their date alone in older versions.
  session_ = character.empty() || chat_.starts_with(character) ? chat_ : fmt::format("{} - {}", character, chat_);
}

Conversation TavernChat::end() {
  Conversation out;
  if (!unnamed_.empty() && session_.empty()) name_session("");
  for (NewMessage& message : unnamed_) message.session = session_;
  out.messages = std::exchange(unnamed_, {});
  return out;
}

Conversation TavernChat::message(std::string_view text) {
  Conversation out;
  std::string fault;
  const json line = parse_object(text, fault);
  if (fault.empty() && !value_at(line, "mes").is_string())
    fault = value_at(line, "mes").is_null() ? "mes is missing" : "mes is no text";
  ++place_;
  if (chat_.empty() && session_.empty()) session_ = file_stem_;
  if (fault.empty() && chat_.empty() && session_.empty())
    fault = "the chat has no first line with user_name and character_name";
  if (!fault.empty()) {
    out.faults.push_back(fault);
    return out;
  }
  NewMessage message;
  message.session = session_;
  message.external_id = created_.empty() ? fmt::format("#{}", place_) : fmt::format("{} #{}", created_, place_);
  const bool is_system = is_set(line, "is_system") || text_at(value_at(line, "extra"), "type") == "narrator";
  message.role = is_set(line, "is_user") ? "user" : is_system ? "system" : "assistant";
  message.speaker = text_at(line, "name");
  message.content = line.at("mes").get<std::string>();
  message.created = time_of(value_at(line, "send_date"));
  message.metadata = metadata_text(metadata_of(line));
  if (!session_.empty()) {
    out.messages.push_back(std::move(message));
    return out;
  }
  const bool is_character = message.role == "assistant" && !message.speaker.empty();
  if (is_character) name_session(message.speaker);
  unnamed_.push_back(std::move(message));
  return is_character || unnamed_.size() == kMostUnnamed ? end() : out;
}

}  // namespace reef::session::internal
