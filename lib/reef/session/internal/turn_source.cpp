#include "reef/session/internal/turn_source.h"

#include <algorithm>

#include "reef/io/checksum.h"
#include "reef/session/schema.h"
#include "reef/session/turn_store.h"
#include "reef/text/full_text.h"

namespace reef::session::internal {
namespace {

constexpr std::size_t kStep = 2000;  ///< rows of a transaction that keeps no other writer waiting

std::vector<std::int64_t> numbers(io::Statement& statement) {
  std::vector<std::int64_t> found;
  while (statement.step()) found.push_back(statement.integer(0));
  return found;
}

}  // namespace

TurnSource::TurnSource(const tree::Tree& tree, const std::string& persona)
    : database_(open_conversations(tree)), persona_(persona_number(database_, persona)), persona_id_(persona) {}

std::vector<std::int64_t> TurnSource::next(std::int64_t after, bool all, std::size_t count) {
  io::Statement find;
  if (all) {
    find = database_.prepare(
        "SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id WHERE s.persona_id = ?1 AND m.id > ?2"
        " ORDER BY m.id LIMIT ?3");
    find.bind(1, persona_id_);
  } else {
    find = database_.prepare(
        "SELECT message FROM pending_messages WHERE persona = ?1 AND message > ?2 ORDER BY message LIMIT ?3");
    find.bind(1, persona_);
  }
  find.bind(2, after).bind(3, static_cast<std::int64_t>(count));
  return numbers(find);
}

std::uint64_t TurnSource::count_pending() {
  auto count = database_.prepare("SELECT count(*) FROM pending_messages WHERE persona = ?");
  count.bind(1, persona_).step();
  return static_cast<std::uint64_t>(count.integer(0));
}

std::vector<std::int64_t> TurnSource::removed() {
  auto find = database_.prepare("SELECT message FROM removed_messages WHERE persona = ?");
  find.bind(1, persona_);
  return numbers(find);
}

std::optional<PendingTurn> TurnSource::read(std::int64_t id) {
  auto message = reader_.read(archives_, id);
  if (!message || is_blank_turn(message->content)) return std::nullopt;
  const std::string& session = message->session;
  const std::string& created = message->created;
  PendingTurn turn;
  turn.id = id;
  turn.speaker = speaker_of(message->role, message->speaker);
  turn.content = std::move(message->content);
  turn.previous = neighbours_.previous(session, created, id);
  if (turn.previous != 0)
    if (const auto before = reader_.read(archives_, turn.previous)) turn.previous_content = before->content;
  turn.next = neighbours_.next(session, created, id);
  words_.bind(1, persona_ << kPersonaShift | id);
  if (words_.step()) turn.words = text::words_in_row(words_.blob(0));
  words_.reset();
  return turn;
}

void TurnSource::settle(const std::vector<PendingTurn>& embedded, const std::vector<std::int64_t>& skipped) {
  io::Transaction transaction(database_);
  auto done = database_.prepare(
      "DELETE FROM pending_messages WHERE persona = ?1 AND message = ?2 AND "
      "EXISTS (SELECT 1 FROM messages WHERE id = ?2 AND (content = ?3 OR archive_offset IS NOT NULL))");
  for (const PendingTurn& turn : embedded) done.bind(1, persona_).bind(2, turn.id).bind(3, turn.content).run();
  transaction.commit();
  for_each(skipped, "DELETE FROM pending_messages WHERE persona = ?1 AND message = ?2");
}

void TurnSource::settle_all(const std::unordered_map<std::int64_t, std::uint64_t>& marks) {
  std::int64_t after = 0;
  for (auto ids = next(after, false, kStep); !ids.empty(); ids = next(after, false, kStep)) {
    io::Transaction transaction(database_);
    auto find = database_.prepare("SELECT content, archive_offset IS NOT NULL FROM messages WHERE id = ?");
    auto done = database_.prepare("DELETE FROM pending_messages WHERE persona = ? AND message = ?");
    for (const std::int64_t id : ids) {
      find.reset().bind(1, id);
      const auto mark = marks.find(id);
      const bool is_there = find.step(), is_archived = is_there && find.integer(1) != 0;
      const bool is_embedded = mark != marks.end() && (is_archived || mark->second == mark_of(find.text(0)));
      if (!is_there || is_embedded || (!is_archived && is_blank_turn(find.text(0))))
        done.bind(1, persona_).bind(2, id).run();
    }
    find.reset();
    transaction.commit();
    after = ids.back();
  }
}

std::uint64_t TurnSource::mark_of(std::string_view content) {
  return io::xxh3({reinterpret_cast<const std::uint8_t*>(content.data()), content.size()});
}

void TurnSource::add_all_pending() {
  std::int64_t after = 0;
  for (auto ids = next(after, true, 10'000); !ids.empty(); ids = next(after, true, 10'000)) {
    add_pending(ids);
    after = ids.back();
  }
}

void TurnSource::add_pending(std::span<const std::int64_t> ids) {
  for_each(ids, "INSERT OR IGNORE INTO pending_messages SELECT ?1, id FROM messages WHERE id = ?2");
}

void TurnSource::settle_removed(std::span<const std::int64_t> ids) {
  for_each(ids, "DELETE FROM removed_messages WHERE persona = ?1 AND message = ?2");
}

void TurnSource::for_each(std::span<const std::int64_t> ids, const char* sql) {
  for (; !ids.empty(); ids = ids.subspan(std::min(kStep, ids.size()))) {
    io::Transaction transaction(database_);
    auto statement = database_.prepare(sql);
    for (const std::int64_t id : ids.first(std::min(kStep, ids.size()))) statement.bind(1, persona_).bind(2, id).run();
    transaction.commit();
  }
}

}  // namespace reef::session::internal
