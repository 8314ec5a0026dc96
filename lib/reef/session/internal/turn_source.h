#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "reef/io/sqlite.h"
#include "reef/session/archives.h"
#include "reef/session/store.h"
#include "reef/session/turn_passages.h"
#include "reef/tree/tree.h"

namespace reef::session::internal {

/// A message and its neighbours, as the conversation has them now.
struct PendingTurn {
  std::int64_t id = 0;
  std::string content;
  std::string speaker;
  std::string previous_content;
  std::int64_t previous = 0;  ///< 0: there is none
  std::int64_t next = 0;
  std::uint32_t words = 0;
};

/// Reads what is to be embedded out of conversations.sqlite, and keeps its lists of what the vectors do not know yet.
class TurnSource {
 public:
  TurnSource(const tree::Tree& tree, const std::string& persona);

  /// Numbers of pending messages, or with `all` of all there are, behind `after`.
  std::vector<std::int64_t> next(std::int64_t after, bool all, std::size_t count);
  std::uint64_t count_pending();
  std::vector<std::int64_t> removed();

  /// nullopt for a message that is gone, or says nothing. Throws Error{not_found} where its archive is not mounted,
  /// Error{corrupt} where that is damaged.
  std::optional<PendingTurn> read(std::int64_t id);

  /// After their vectors were committed. A message that was changed meanwhile stays pending.
  void settle(const std::vector<PendingTurn>& embedded, const std::vector<std::int64_t>& skipped);
  /// The same for a run that embeds all of them, after what it made was put in place: `marks` are those of the texts.
  void settle_all(const std::unordered_map<std::int64_t, std::uint64_t>& marks);
  static std::uint64_t mark_of(std::string_view content);
  /// For a store that was removed: nothing of the persona is embedded.
  void add_all_pending();
  void add_pending(std::span<const std::int64_t> ids);
  void settle_removed(std::span<const std::int64_t> ids);

 private:
  void for_each(std::span<const std::int64_t> ids, const char* sql);

  io::Database database_;
  std::int64_t persona_;
  std::string persona_id_;
  Archives archives_;
  MessageReader reader_{database_};
  TurnNeighbours neighbours_{database_};
  io::Statement words_{database_, "SELECT sz FROM messages_fts_docsize WHERE id = ?"};
};

}  // namespace reef::session::internal
