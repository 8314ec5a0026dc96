#include <algorithm>
#include <thread>

#include "reef/session/internal/turn_source.h"
#include "reef/session/turn_store.h"

namespace reef::session {

void purge_turns(const tree::Tree& tree, const std::string& persona, std::chrono::milliseconds wait) {
  if (!TurnReader::exists(tree, persona)) return;
  TurnStore store(tree, persona, wait);
  internal::TurnSource source(tree, persona);
  const std::vector<std::int64_t> removed = source.removed();
  std::vector<std::int64_t> followers;
  std::vector<std::uint32_t> positions;
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
  source.add_pending(followers);
  if (!positions.empty()) {
    io::Transaction transaction(store.database());
    for (const std::uint32_t position : positions) store.remove(position);
    store.commit();
    transaction.commit();
  }
  source.settle_removed(removed);
  if (store.database().prepare("SELECT 1 FROM dead_rows LIMIT 1").step())
    store.rebuild(std::max(1U, std::thread::hardware_concurrency()), no_progress());
  store.finish_run(false);
}

}  // namespace reef::session
