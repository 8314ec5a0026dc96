#include "reef/memory/internal/undecided.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "reef/core/error.h"

namespace reef::memory::internal {
namespace {

constexpr const char* kWatermark = "decided_up_to";

std::int64_t read_watermark(io::Database& memories) {
  auto progress = memories.prepare("SELECT value FROM progress WHERE key = ?");
  if (!progress.bind(1, kWatermark).step()) return 0;
  const std::string_view digits = progress.text(0);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size())
    throw Error(Errc::corrupt, fmt::format("{}: progress: {} is no number", memories.path(), kWatermark));
  return value;
}

}  // namespace

std::string_view speaker_of(const session::Message& message) {
  return message.speaker.empty() ? message.role : message.speaker;
}

bool says_something(const session::Message& message) {
  return message.role != "system" && message.content.find_first_not_of(" \t\r\n\f\v") != std::string::npos;
}

Time time_of(std::string_view database_time) {
  try {
    return parse_time(database_time);
  } catch (const Error&) {
    return {};
  }
}

Undecided::Undecided(io::Database& conversations, io::Database& memories, const std::string& persona, Time now)
    : conversations_(&conversations),
      memories_(&memories),
      before_(conversations,
              "SELECT role, speaker, content, id FROM messages WHERE session_id = ?1 AND (created_at, id) < (?2, ?3)"
              " AND role <> 'system' AND trim(content, ' ' || char(9, 10, 11, 12, 13)) <> ''"
              " ORDER BY created_at DESC, id DESC LIMIT 1"),
      old_watermark_(read_watermark(memories)) {
  std::unordered_set<std::int64_t> decided;
  auto decisions = memories.prepare("SELECT message FROM decisions WHERE message > ?");
  decisions.bind(1, old_watermark_);
  while (decisions.step()) decided.insert(decisions.integer(0));

  io::Transaction snapshot(conversations, io::Transaction::Kind::read);
  // By id alone: what was decided long ago is not read again.
  auto messages = conversations.prepare(
      "SELECT m.id, m.created_at <= ?3 FROM messages m NOT INDEXED JOIN sessions s ON s.id = m.session_id"
      " WHERE m.id > ?1 AND s.persona_id = ?2 ORDER BY m.created_at, m.id");
  messages.bind(1, old_watermark_).bind(2, persona).bind(3, to_database_time(now));
  auto last = conversations.prepare("SELECT coalesce(max(id), 0) FROM messages");
  last.step();
  watermark_ = std::max(last.integer(0), old_watermark_);
  while (messages.step()) {
    const std::int64_t id = messages.integer(0);
    if (decided.contains(id)) continue;
    if (messages.is_null(1) || messages.integer(1) != 0)
      ids_.push_back(id);
    else
      watermark_ = std::min(watermark_, id - 1);
  }
}

std::vector<Waiting> Undecided::next(std::size_t count) {
  std::vector<Waiting> found;
  for (; next_ < ids_.size() && found.size() < count; ++next_) {
    const std::size_t unreadable = unreadable_;
    auto message = find(ids_[next_]);
    if (unreadable_ > unreadable) watermark_ = std::min(watermark_, ids_[next_] - 1);
    if (!message) continue;
    const Time created = time_of(message->created);
    found.push_back({*std::move(message), created});
  }
  return found;
}

std::optional<session::Message> Undecided::before(const session::Message& message) {
  before_.reset();
  before_.bind(1, message.session).bind(2, message.created).bind(3, message.id);
  if (!before_.step()) return std::nullopt;
  session::Message found;
  found.session = message.session;
  found.role = before_.text(0);
  found.speaker = before_.text(1);
  found.content = before_.text(2);
  found.id = before_.integer(3);
  before_.reset();
  return found;
}

std::optional<session::Message> Undecided::find(std::int64_t id) {
  try {
    return session::read_message(*conversations_, archives_, id);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    if (unreadable_++ == 0) first_unreadable_ = error.what();
    return std::nullopt;
  }
}

std::optional<session::Message> Undecided::peek(std::int64_t id) {
  try {
    return session::read_message(*conversations_, archives_, id);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    return std::nullopt;
  }
}

void Undecided::save_watermark() {
  if (watermark_ <= old_watermark_) return;
  auto put = memories_->prepare("INSERT OR REPLACE INTO progress(key, value) VALUES (?, ?)");
  put.bind(1, kWatermark).bind(2, std::to_string(watermark_)).run();
}

}  // namespace reef::memory::internal
