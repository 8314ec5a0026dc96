#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reef/embed/embedder.h"
#include "reef/io/sqlite.h"
#include "reef/session/archives.h"

namespace reef::session {

/// The messages before and behind one in its session that say something, in the order of their times.
class TurnNeighbours {
 public:
  explicit TurnNeighbours(io::Database& conversations);
  /// 0: there is none.
  std::int64_t previous(std::string_view session, std::string_view created, std::int64_t id);
  std::int64_t next(std::string_view session, std::string_view created, std::int64_t id);

 private:
  io::Statement previous_, next_;
};

/// What is embedded for a turn: the end of the one before it, as much as fits beside the whole turn, then the turn.
std::string turn_passage(std::string_view previous, std::string_view turn, const embed::Embedder& embedder);

/// What index_turns() embeds for messages, for who embeds some of them without its store.
class TurnPassages {
 public:
  explicit TurnPassages(io::Database& conversations);

  /// The passage of a message that says `content`; `content` alone where the message is gone or says something else by
  /// now, and where the archive of the one before it is not mounted, or damaged.
  std::string of(std::int64_t message, std::string_view content, const embed::Embedder& embedder);

 private:
  io::Database* conversations_;
  Archives archives_;
  io::Statement place_;
  TurnNeighbours neighbours_;
};

}  // namespace reef::session
