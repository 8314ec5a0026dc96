#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reef/io/checksum.h"
#include "reef/session/internal/conversations.h"
#include "reef/session/internal/json_values.h"

namespace reef::session::internal {
namespace {

using nlohmann::json;

std::string first_time(const json& object) {
  for (const char* key : {"created_at", "created", "create_time", "timestamp"})
    if (auto time = time_of(value_at(object, key)); !time.empty()) return time;
  return {};
}

json metadata_of(const json& message) {
  json metadata = value_at(message, "metadata").is_object() ? message.at("metadata") : json::object();
  for (const char* key : {"tool_calls", "tool_call_id", "function_call"})
    if (const json& value = value_at(message, key); !value.is_null()) metadata[key] = value;
  return metadata;
}

/// What stands in the place of a content.
std::string text_beside(const json& message) {
  const std::string refusal = text_at(message, "refusal");
  return refusal.empty() ? text_at(value_at(message, "audio"), "transcript") : refusal;
}

}  // namespace

Conversation read_openai(std::string_view text) {
  Conversation out;
  std::string fault;
  const json conversation = parse_object(text, fault);
  const json& messages = value_at(conversation, "messages");
  if (fault.empty() && !messages.is_array()) fault = "messages is no array";
  if (!fault.empty()) {
    out.faults.push_back(fault);
    return out;
  }
  std::string session;
  for (const char* key : {"id", "conversation_id", "session", "session_id"})
    if (session.empty()) session = text_at(conversation, key);
  if (session.empty()) session = io::to_hex(io::sha256(messages.dump(-1, ' ', false, json::error_handler_t::replace)));
  const std::string title = text_at(conversation, "title"), time = first_time(conversation);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const json& from = messages[i];
    NewMessage message;
    message.session = session;
    message.role = text_at(from, "role");
    message.speaker = text_at(from, "name");
    message.external_id = text_at(from, "id");
    message.created = first_time(from);
    if (message.created.empty() && out.messages.empty()) message.created = time;
    if (!title.empty()) message.title = title;
    const json metadata = metadata_of(from);
    message.metadata = metadata_text(metadata);
    const json& content = value_at(from, "content");
    message.content = text_of_parts(content);
    if (message.content.empty()) message.content = text_beside(from);
    const bool has_content =
        !message.content.empty() || content.is_string() || content.is_array() || content.is_object();
    std::string wrong;
    if (!from.is_object())
      wrong = "not an object";
    else if (message.role.empty())
      wrong = "role is missing";
    else if (!has_content && !(content.is_null() && !metadata.empty()))
      wrong = content.is_null() ? "content is missing" : "content is no text";
    if (wrong.empty())
      out.messages.push_back(std::move(message));
    else
      out.faults.push_back(fmt::format("messages[{}]: {}", i, wrong));
  }
  return out;
}

}  // namespace reef::session::internal
