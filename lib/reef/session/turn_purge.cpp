#include <algorithm>
#include <thread>

#include "reef/session/schema.h"
#include "reef/session/turn_store.h"

namespace reef::session {
namespace {

/// Runs a statement over (persona, message), in transactions that keep no other writer waiting.
void for_each(io::Database& conversations, std::int64_t persona, std::span<const std::int64_t> ids, const char* sql) {
  constexpr std::size_t kStep = 2000;
  for (; !ids.empty(); ids = ids.subspan(std::min(kStep, ids.size()))) {
    io::Transaction transaction(conversations);
    auto statement = conversations.prepare(sql);
    for (const std::int64_t id : ids.first(std::min(kStep, ids.size()))) statement.bind(1, persona).bind(2, id).run();
    transaction.commit();
  }
}

bool has_dead_rows(io::Database& turns) { return turns.prepare("SELECT 1 FROM dead_rows LIMIT 1").step(); }

}  // namespace

void purge_turns(const tree::Tree& tree, const std::string& persona, std::chrono::milliseconds wait) {
  if (!TurnReader::exists(tree, persona)) return;
  TurnStore store(tree, persona, wait);
  io::Database conversations = open_conversations(tree);
  const std::int64_t number = persona_number(conversations, persona);
  std::vector<std::int64_t> removed, followers;
  std::vector<std::uint32_t> positions;
  {
    auto find = conversations.prepare("SELECT message FROM removed_messages WHERE persona = ?");
    for (find.bind(1, number); find.step();) removed.push_back(find.integer(0));
  }
  const TurnMap& map = store.map();
  for (const std::int64_t id : removed) {
    const auto position = map.position_of(id);
    if (!position) continue;
    positions.push_back(*position);
    if (const std::uint32_t next = map[*position].next; next != kNoTurn) {
      followers.push_back(map[next].id);
      positions.push_back(next);
    }
  }
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  // Pending first, gone from the list last: a run that is killed loses none.
  for_each(conversations, number, followers,
           "INSERT OR IGNORE INTO pending_messages SELECT ?1, id FROM messages WHERE id = ?2");
  if (!positions.empty()) {
    io::Transaction transaction(store.database());
    for (const std::uint32_t position : positions) store.remove(position);
    store.commit();
    transaction.commit();
  }
  for_each(conversations, number, removed, "DELETE FROM removed_messages WHERE persona = ?1 AND message = ?2");
  if (has_dead_rows(store.database())) store.rebuild(std::max(1U, std::thread::hardware_concurrency()), no_progress());
  store.finish_run(false);
}

}  // namespace reef::session
