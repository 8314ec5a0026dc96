#include "reef/memory/internal/undecided.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "reef/memory/internal/numbering.h"
#include "reef/text/fold.h"

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
  return message.role != "system" && !text::folded(message.content).empty();
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
      reader_(conversations),
      before_(conversations,
              "SELECT id FROM messages WHERE session_id = ?1 AND (created_at, id) < (?2, ?3) AND role <> 'system'"
              " ORDER BY created_at DESC, id DESC"),
      old_watermark_((follow_numbers(conversations, memories, persona), read_watermark(memories))) {
  std::unordered_set<std::int64_t> decided;
  auto decisions = memories.prepare("SELECT message FROM decisions WHERE message > ?");
  decisions.bind(1, old_watermark_);
  while (decisions.step()) decided.insert(decisions.integer(0));

  io::Transaction snapshot(conversations, io::Transaction::Kind::read);
  // By id alone: what was decided long ago is not read again.
  auto messages = conversations.prepare(
      "SELECT m.id, m.created_at FROM messages m NOT INDEXED JOIN sessions s ON s.id = m.session_id"
      " WHERE m.id > ?1 AND s.persona_id = ?2");
  messages.bind(1, old_watermark_).bind(2, persona);
  auto last = conversations.prepare("SELECT coalesce(max(id), 0) FROM messages");
  last.step();
  watermark_ = std::max(last.integer(0), old_watermark_);
  std::vector<std::pair<Time, std::int64_t>> due;
  while (messages.step()) {
    const std::int64_t id = messages.integer(0);
    if (decided.contains(id)) continue;
    // Other programs write times in other forms, which do not compare as texts.
    if (const Time created = time_of(messages.text(1)); created <= now) {
      due.emplace_back(created, id);
    } else {
      ++later_;
      watermark_ = std::min(watermark_, id - 1);
    }
  }
  std::sort(due.begin(), due.end());
  for (const auto& [created, id] : due) ids_.push_back(id);
}

std::vector<Waiting> Undecided::next(std::size_t count) {
  std::vector<Waiting> found;
  for (; next_ < ids_.size() && found.size() < count; ++next_) {
    const std::int64_t id = ids_[next_];
    if (auto message = find(id)) try {
        auto before = this->before(*message);
        const Time created = time_of(message->created);
        found.push_back({*std::move(message), created, std::move(before)});
      } catch (const Error& error) {
        add_unreadable(id, error);
      }
    if (is_unreadable(id)) watermark_ = std::min(watermark_, id - 1);
  }
  return found;
}

std::optional<session::Message> Undecided::before(const session::Message& message) {
  before_.reset();
  before_.bind(1, message.session).bind(2, message.created).bind(3, message.id);
  std::optional<session::Message> found;
  try {
    while (!found && before_.step()) {
      found = reader_.read(archives_, before_.integer(0));
      if (found && !says_something(*found)) found.reset();
    }
  } catch (...) {
    before_.reset();  // else its transaction stays open
    throw;
  }
  before_.reset();
  return found;
}

std::optional<session::Message> Undecided::find(std::int64_t id) {
  try {
    return reader_.read(archives_, id);
  } catch (const Error& error) {
    add_unreadable(id, error);
    return std::nullopt;
  }
}

/// Throws for what else an error may be.
void Undecided::add_unreadable(std::int64_t id, const Error& error) {
  if (!is_out_of_reach(error)) throw Error(error);
  if (unreadable_.empty()) first_unreadable_ = error.what();
  unreadable_.insert(id);
}

std::optional<session::Message> Undecided::glance(std::int64_t id) {
  try {
    return reader_.read(archives_, id);
  } catch (const Error& error) {
    if (!is_out_of_reach(error)) throw;
    return session::read_stored_message(*conversations_, id);
  }
}

bool is_out_of_reach(const Error& error) { return error.code() == Errc::not_found || error.code() == Errc::corrupt; }

void Undecided::save_watermark() {
  note_numbers(*conversations_, *memories_);
  if (watermark_ <= old_watermark_) return;
  auto put = memories_->prepare("INSERT OR REPLACE INTO progress(key, value) VALUES (?, ?)");
  put.bind(1, kWatermark).bind(2, std::to_string(watermark_)).run();
}

}  // namespace reef::memory::internal
