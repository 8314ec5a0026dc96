#pragma once

#include "reef/io/sqlite.h"
#include "reef/memory/consolidate.h"

namespace reef::memory::internal {

/// Writes table decisions, in the caller's transaction.
class Decisions {
 public:
  /// decided_at: the time that stands in every row.
  Decisions(io::Database& memories, Time decided_at);

  void insert(Decided& decision);  ///< sets its rank
  /// State, second score and memory of what was buffered.
  void settle(const Decided& decision);
  /// Session and time of one that was decided.
  void find_place(Decided& decision);
  void count_mention(std::int64_t rank, std::int64_t mentions);

 private:
  io::Database* database_;
  std::string decided_at_;
  io::Statement insert_, settle_, mention_;
};

}  // namespace reef::memory::internal
