#include "reef/session/append.h"

#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/core/time.h"
#include "reef/session/internal/input.h"
#include "reef/session/internal/own_format.h"

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

/// What export writes, import must be able to read.
void require_line(const NewMessage& message) {
  constexpr std::size_t kMostOfByte = 6;  // "\u0000"
  if (message.content.size() < internal::Input::kLongest / kMostOfByte / 2) return;
  Message stored;
  stored.session = message.session;
  stored.role = message.role;
  stored.speaker = message.speaker;
  stored.content = message.content;
  stored.created = message.created;
  stored.external_id = message.external_id;
  std::string line;
  internal::write_own(line, stored, {});
  if (line.size() > internal::Input::kLongest)
    throw Error(Errc::usage,
                fmt::format("as a line of JSON the message is longer than {} MiB", internal::Input::kLongest >> 20),
                "split it into several messages");
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
  if (std::error_code ignored; !options.persona && !std::filesystem::exists(conversations_file(tree), ignored))
    throw Error(Errc::not_found, fmt::format("no session '{}'", options.session),
                "--persona ID makes it, for that persona");
  Store store(tree);
  AppendReport report;
  report.persona = persona_for(store.database(), options);
  message.is_addition = !options.id;
  // Another call may take an ordinal between the look and the writing: then nothing is added, and the next one is
  // tried.
  for (std::uint64_t ordinal = 0; report.counts.added == 0; ++ordinal) {
    message.external_id =
        options.id.value_or(message_digest(message.session, message.role, message.created, message.content, ordinal));
    if (!options.id && row_of(store.database(), message) != 0) continue;
    require_line(message);
    report.counts.unchanged = 0;
    const auto refusals = store.put(report.persona, {&message, 1}, report.counts);
    if (!refusals.empty()) {
      const Refusal& refusal = refusals.front();
      throw Error(Errc::usage, refusal.reason,
                  refusal.kind == Refusal::Kind::others_session ? "choose another session id" : refusal.hint);
    }
    if (options.id) break;
  }
  report.session = message.session;
  report.external_id = message.external_id;
  report.created = message.created;
  report.id = row_of(store.database(), message);
  return report;
}

}  // namespace reef::session
