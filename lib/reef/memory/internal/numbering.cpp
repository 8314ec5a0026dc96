#include "reef/memory/internal/numbering.h"

#include <fmt/format.h>

#include <set>
#include <sstream>
#include <string_view>
#include <unordered_map>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/memory/internal/undecided.h"
#include "reef/memory/statement.h"

namespace reef::memory::internal {
namespace {

constexpr const char* kNumbers = "numbers";
constexpr const char* kNewest =
    "SELECT id, session_id, ifnull(external_id, ''), role, created_at FROM messages ORDER BY id DESC LIMIT 8";
constexpr const char* kOne =
    "SELECT id, session_id, ifnull(external_id, ''), role, created_at FROM messages WHERE id = ?";

std::uint64_t hash_of(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += fmt::format("{}:{}", part.size(), part);
  return io::xxh3({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

/// Of a row of kNewest: what no change of its text changes.
std::uint64_t mark_of(const io::Statement& row) {
  return hash_of({row.text(1), row.text(2), row.text(3), row.text(4)});
}

/// The greatest number that was ever given.
std::int64_t last_number(io::Database& conversations) {
  auto last = conversations.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'messages'");
  return last.step() ? last.integer(0) : 0;
}

std::string noted(io::Database& memories, const char* key) {
  auto find = memories.prepare("SELECT value FROM progress WHERE key = ?");
  return find.bind(1, key).step() ? std::string(find.text(0)) : std::string();
}

bool start_again(io::Database& conversations, io::Database& memories) {
  std::istringstream text(noted(memories, kNumbers));
  std::int64_t last = 0;
  if (!(text >> last)) std::istringstream(noted(memories, "decided_up_to")) >> last;
  if (last_number(conversations) < last) return true;
  auto find = conversations.prepare(kOne);
  std::int64_t number = 0;
  std::size_t gone = 0, there = 0;
  for (std::uint64_t mark = 0; text >> number >> mark;) {
    find.reset().bind(1, number);
    const bool is_there = find.step();
    if (is_there && mark_of(find) != mark) return true;
    ++(is_there ? there : gone);
  }
  return gone > 0 && there == 0;  // removed, or others: to look again does no harm
}

std::unordered_map<std::int64_t, std::int64_t> numbers_by_origin(io::Database& conversations,
                                                                 const std::string& persona) {
  session::Archives archives;
  std::unordered_map<std::int64_t, std::int64_t> numbers;
  for (const auto& row : session::list_sessions(conversations, persona)) try {
      session::read_messages(conversations, archives, row.id, [&](const session::Message& message) {
        numbers.try_emplace(origin_of(message), message.id);
      });
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;  // its archive is not there: decided anew when it is
    }
  return numbers;
}

class Renumber {
 public:
  Renumber(io::Database& conversations, io::Database& memories, const std::string& persona)
      : conversations_(conversations),
        memories_(memories),
        persona_(persona),
        numbers_(numbers_by_origin(conversations, persona)) {}

  void run() {
    decisions();
    sources();
    tombstones();
    memories_.execute("DELETE FROM progress WHERE key = 'decided_up_to'");
  }

 private:
  void decisions() {
    memories_.execute("UPDATE decisions SET message = -rank");
    auto rows = memories_.prepare("SELECT rank, origin, session, created_at FROM decisions ORDER BY rank");
    auto put = memories_.prepare("UPDATE decisions SET message = ? WHERE rank = ?");
    std::set<std::int64_t> used;
    while (rows.step()) {
      const std::int64_t number = rows.is_null(1) ? at(rows.text(2), rows.text(3), used) : number_of(rows.integer(1));
      if (number > 0 && used.insert(number).second) put.bind(1, number).bind(2, rows.integer(0)).run();
    }
  }

  void sources() {
    struct Row {
      std::int64_t memory;
      NamedMessage named;
    };
    std::vector<Row> all;
    auto rows = memories_.prepare(
        "SELECT s.memory, s.message, s.session, ifnull(s.external_id, ''), s.created_at, ifnull(m.content_hash, '') "
        "FROM memory_sources s JOIN memories m ON m.id = s.memory WHERE s.message > 0");
    while (rows.step())
      all.push_back({rows.integer(0),
                     {rows.integer(1), std::string(rows.text(2)), std::string(rows.text(3)), std::string(rows.text(4)),
                      std::string(rows.text(5))}});
    rows.reset();
    memories_.execute("UPDATE OR REPLACE memory_sources SET message = -message WHERE message > 0");
    memories_.execute("UPDATE memories SET source_message = -source_message WHERE source_message > 0");
    auto put =
        memories_.prepare("UPDATE OR REPLACE memory_sources SET message = ?1 WHERE memory = ?2 AND message = ?3");
    auto first = memories_.prepare("UPDATE memories SET source_message = ?1 WHERE id = ?2 AND source_message = ?3");
    for (const auto& [memory, named] : all) {
      const auto message = find(named);
      if (!message) continue;
      for (io::Statement* statement : {&put, &first})
        statement->bind(1, message->id).bind(2, memory).bind(3, -named.number).run();
    }
  }

  void tombstones() {
    auto rows = memories_.prepare("SELECT rowid, origin FROM tombstones WHERE message IS NOT NULL");
    std::vector<std::pair<std::int64_t, std::int64_t>> all;
    while (rows.step()) all.emplace_back(rows.integer(0), rows.is_null(1) ? 0 : number_of(rows.integer(1)));
    rows.reset();
    auto put = memories_.prepare("UPDATE tombstones SET message = nullif(?, 0) WHERE rowid = ?");
    for (const auto& [row, number] : all) put.bind(1, number).bind(2, row).run();
    memories_.execute("DELETE FROM tombstones WHERE message IS NULL AND content_hash IS NULL AND origin IS NULL");
  }

  std::int64_t number_of(std::int64_t origin) const {
    const auto found = numbers_.find(origin);
    return found == numbers_.end() ? 0 : found->second;
  }
  /// For decisions of before there were origins.
  std::int64_t at(std::string_view session, std::string_view created, const std::set<std::int64_t>& used) {
    at_.reset().bind(1, session).bind(2, created).bind(3, persona_);
    while (at_.step())
      if (!used.contains(at_.integer(0))) return at_.integer(0);
    return 0;
  }
  std::optional<session::Message> find(const NamedMessage& named) {
    try {
      return find_named(conversations_, archives_, named);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;
      return std::nullopt;
    }
  }

  io::Database& conversations_;
  io::Database& memories_;
  std::string persona_;
  session::Archives archives_;
  std::unordered_map<std::int64_t, std::int64_t> numbers_;
  io::Statement at_{conversations_,
                    "SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id WHERE m.session_id = ?1 "
                    "AND m.created_at = ?2 AND s.persona_id = ?3 ORDER BY m.id"};
};

}  // namespace

std::int64_t origin_of(const session::Message& message) {
  const std::string_view time = message.external_id.empty() ? message.created : std::string_view();
  return static_cast<std::int64_t>(hash_of({message.session, message.external_id, time, message.content}));
}

std::uint64_t mark_of(const session::Message& message) {
  return hash_of({message.session, message.external_id, message.role, message.created});
}

std::optional<session::Message> find_named(io::Database& conversations, session::Archives& archives,
                                           const NamedMessage& named) {
  std::int64_t number = named.number;
  if (!named.external_id.empty()) {
    auto find = conversations.prepare("SELECT id FROM messages WHERE session_id = ? AND external_id = ?");
    if (!find.bind(1, named.session).bind(2, named.external_id).step()) return std::nullopt;
    number = find.integer(0);
  }
  auto message = session::read_message(conversations, archives, number);
  if (!message || message->session != named.session) return std::nullopt;
  const bool same = time_of(message->created) == time_of(named.created) ||
                    (!named.content_hash.empty() && content_hash(message->content) == named.content_hash);
  return same ? message : std::nullopt;
}

void note_numbers(io::Database& conversations, io::Database& memories) {
  std::string text = std::to_string(last_number(conversations));
  auto newest = conversations.prepare(kNewest);
  while (newest.step()) text += fmt::format(" {} {}", newest.integer(0), mark_of(newest));
  if (text == noted(memories, kNumbers)) return;
  memories.prepare("INSERT OR REPLACE INTO progress(key, value) VALUES (?, ?)").bind(1, kNumbers).bind(2, text).run();
}

void follow_numbers(io::Database& conversations, io::Database& memories, const std::string& persona) {
  if (!start_again(conversations, memories)) return;
  Renumber renumber(conversations, memories, persona);
  io::Transaction transaction(memories);
  renumber.run();
  note_numbers(conversations, memories);
  transaction.commit();
}

}  // namespace reef::memory::internal
