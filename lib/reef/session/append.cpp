#include "reef/session/append.h"

#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/core/time.h"

namespace reef::session {
namespace {

std::int64_t row_of(io::Database& conversations, const NewMessage& message) {
  auto find = conversations.prepare("SELECT id FROM messages WHERE session_id = ? AND external_id = ?");
  find.bind(1, message.session).bind(2, message.external_id);
  return find.step() ? find.integer(0) : 0;
}

std::string persona_for(io::Database& conversations, const AppendOptions& options) {
  auto owner = conversations.prepare("SELECT persona_id FROM sessions WHERE id = ?");
  owner.bind(1, options.session);
  if (owner.step()) return options.persona.value_or(std::string(owner.text(0)));
  if (options.persona) return *options.persona;
  try {
    require_session(conversations, options.session);
  } catch (const Error& error) {
    throw Error(error.code(), error.what(), "--persona ID makes it, for that persona");
  }
  return {};
}

void require_text(const std::string& text, const char* what) {
  if (text.empty()) throw Error(Errc::usage, fmt::format("the {} is empty", what), "");
  if (!is_valid_utf8(text)) throw Error(Errc::usage, fmt::format("the {} is no UTF-8", what), "");
}

}  // namespace

AppendReport append(const tree::Tree& tree, const AppendOptions& options) {
  require_text(options.session, "session's id");
  require_text(options.role, "role");
  if (options.id) require_text(*options.id, "message's id");
  NewMessage message;
  message.created = to_database_time(options.time ? parse_time(*options.time) : now());
  message.session = options.session;
  message.role = options.role;
  message.speaker = to_valid_utf8(options.speaker);
  message.content = to_valid_utf8(options.content);
  message.has_own_time = options.time.has_value();
  Store store(tree);
  AppendReport report;
  report.persona = persona_for(store.database(), options);
  for (std::uint64_t ordinal = 0; message.external_id.empty(); ++ordinal) {
    message.external_id =
        options.id.value_or(message_digest(message.session, message.role, message.created, message.content, ordinal));
    if (!options.id && row_of(store.database(), message) != 0) message.external_id.clear();
  }
  const auto refusals = store.put(report.persona, {&message, 1}, report.counts);
  if (!refusals.empty()) {
    const auto& [index, session, reason, hint] = refusals.front();
    throw Error(Errc::usage, reason, reason.find("archived") == std::string::npos ? "choose another session id" : hint);
  }
  report.session = message.session;
  report.external_id = message.external_id;
  report.created = message.created;
  report.id = row_of(store.database(), message);
  return report;
}

}  // namespace reef::session
