#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/core/time.h"
#include "reef/session/store.h"

namespace reef::session {
namespace {

constexpr const char* kSession =
    "SELECT s.id, s.persona_id, s.title, s.summary, s.created_at, s.updated_at, s.archive_file, count(m.id),"
    " count(m.archive_offset), min(m.created_at), max(m.created_at), sum(length(CAST(m.content AS BLOB))),"
    " g.model FROM sessions s LEFT JOIN messages m ON m.session_id = s.id"
    " LEFT JOIN session_summaries g ON g.session_id = s.id ";

constexpr const char* kMessage =
    "SELECT m.id, m.session_id, m.external_id, m.role, m.speaker, m.content, m.created_at, m.tokens, m.metadata,"
    " m.archive_offset, s.archive_file FROM messages m JOIN sessions s ON s.id = m.session_id ";

SessionRow read_session(const io::Statement& row) {
  SessionRow session;
  session.id = row.text(0);
  session.persona = row.text(1);
  session.title = row.text(2);
  session.summary = row.text(3);
  session.created = row.text(4);
  session.updated = row.text(5);
  session.archive_file = row.text(6);
  session.messages = static_cast<std::uint64_t>(row.integer(7));
  session.archived = static_cast<std::uint64_t>(row.integer(8));
  session.first = row.text(9);
  session.last = row.text(10);
  session.content_bytes = static_cast<std::uint64_t>(row.integer(11));
  session.summary_model = row.text(12);
  return session;
}

void read_text(const io::Statement& row, Archives& archives, Message& message) {
  if (message.archive_offset) message.content = archives.text(std::string(row.text(10)), *message.archive_offset);
}

/// `archives` null: an archived message has no text.
void read_message_row(const io::Statement& row, Archives* archives, Message& message) {
  message.id = row.integer(0);
  message.session = row.text(1);
  message.external_id = row.text(2);
  message.role = row.text(3);
  message.speaker = row.text(4);
  message.content = row.text(5);
  message.created = row.text(6);
  message.tokens = row.is_null(7) ? std::nullopt : std::optional(row.integer(7));
  message.metadata = row.text(8);
  message.archive_offset = row.is_null(9) ? std::nullopt : std::optional(row.integer(9));
  if (archives != nullptr) read_text(row, *archives, message);
}

}  // namespace

std::string rfc3339_of(std::string_view database_time) {
  // What reef writes needs no calendar to be written anew.
  std::string text(database_time);
  if (text.size() == 23 && text[10] == ' ' && text[19] == '.') {
    text[10] = 'T';
    return text + 'Z';
  }
  try {
    return to_rfc3339(parse_time(text));
  } catch (const Error&) {
    return text;
  }
}

std::vector<SessionRow> list_sessions(io::Database& conversations, const std::optional<std::string>& persona) {
  auto rows = conversations.prepare(
      fmt::format("{} {} GROUP BY s.id ORDER BY s.id", kSession, persona ? "WHERE s.persona_id = ?" : ""));
  if (persona) rows.bind(1, *persona);
  std::vector<SessionRow> sessions;
  while (rows.step()) sessions.push_back(read_session(rows));
  return sessions;
}

std::optional<SessionRow> find_session(io::Database& conversations, std::string_view id) {
  auto row = conversations.prepare(fmt::format("{} WHERE s.id = ? GROUP BY s.id", kSession));
  row.bind(1, id);
  return row.step() ? std::optional(read_session(row)) : std::nullopt;
}

SessionRow require_session(io::Database& conversations, const std::string& id) {
  if (auto session = find_session(conversations, id)) return *std::move(session);
  std::vector<std::string> ids;
  constexpr int kCandidates = 10'000;
  auto rows = conversations.prepare(fmt::format("SELECT id FROM sessions LIMIT {}", kCandidates));
  while (rows.step()) ids.emplace_back(rows.text(0));
  const auto meant = nearest(id, ids);
  throw Error(
      Errc::not_found,
      meant ? fmt::format("no session '{}', did you mean '{}'?", id, *meant) : fmt::format("no session '{}'", id),
      "'reef-session list' shows all of them");
}

void read_messages(io::Database& conversations, Archives& archives, const std::string& session,
                   const std::function<void(Message&)>& on_message,
                   const std::function<void(const Error&)>& on_damaged) {
  auto rows = conversations.prepare(fmt::format("{} WHERE m.session_id = ? ORDER BY m.created_at, m.id", kMessage));
  rows.bind(1, session);
  Message message;
  while (rows.step()) {
    read_message_row(rows, nullptr, message);
    try {
      read_text(rows, archives, message);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt || !on_damaged) throw;
      on_damaged(error);
      continue;
    }
    on_message(message);
  }
}

namespace {

io::Statement one_row(io::Database& conversations) {
  return conversations.prepare(fmt::format("{} WHERE m.id = ?", kMessage));
}

std::optional<Message> read_one(io::Statement& row, Archives* archives, std::int64_t id) {
  row.reset().bind(1, id);
  if (!row.step()) return std::nullopt;
  Message message;
  try {
    read_message_row(row, archives, message);
  } catch (...) {
    row.reset();  // else its transaction stays open
    throw;
  }
  row.reset();
  return message;
}

}  // namespace

MessageReader::MessageReader(io::Database& conversations) : row_(one_row(conversations)) {}

std::optional<Message> MessageReader::read(Archives& archives, std::int64_t id) {
  return read_one(row_, &archives, id);
}

std::optional<Message> read_message(io::Database& conversations, Archives& archives, std::int64_t id) {
  return MessageReader(conversations).read(archives, id);
}

std::optional<Message> read_stored_message(io::Database& conversations, std::int64_t id) {
  io::Statement row = one_row(conversations);
  return read_one(row, nullptr, id);
}

}  // namespace reef::session
