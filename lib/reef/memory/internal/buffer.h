#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reef/core/time.h"
#include "reef/memory/importance.h"
#include "reef/memory/internal/mentions.h"
#include "reef/memory/internal/model_protocol.h"
#include "reef/memory/internal/neighbours.h"

namespace reef::memory::internal {

/// A message that waits for its second score.
struct Buffered {
  std::int64_t rank = 0;
  std::int64_t message = 0;
  double score = 0;
  std::int64_t mentions = 0;
  std::vector<float> row;    ///< empty: to be asked for again
  std::optional<Scan> scan;  ///< what was near when it was scored
  bool was_asked = false;    ///< the language model, about it
  std::optional<Verdict> verdict = {};

  double second() const {
    return second_score(score, mentions, verdict ? std::optional(verdict->score) : std::nullopt);
  }
};

/// The short-term buffer: messages that wait a day, by time, then by rank.
class Buffer {
 public:
  using Entries = std::multimap<Time, Buffered>;
  static constexpr auto kDay = std::chrono::hours(24);

  /// words: hashes of its terms, ascending, by which later messages mention it.
  void add(Time created, Buffered entry, std::span<const std::uint64_t> words);
  std::size_t size() const { return entries_.size(); }
  Entries& entries() { return entries_; }

  /// Whether the day of the first is over at `until`.
  bool is_due(Time until) const { return !entries_.empty() && entries_.begin()->first + kDay <= until; }
  /// The first; there must be one.
  std::pair<Time, Buffered> take_first();
  /// Counts a mention of those that a message of that time and those rare words speaks of again, and returns them.
  std::vector<const Buffered*> mention(Time created, std::span<const std::uint64_t> rare);

 private:
  Entries entries_;
  std::unordered_map<std::int64_t, Entries::iterator> place_of_;  ///< by rank
  Mentions mentions_;
};

}  // namespace reef::memory::internal
