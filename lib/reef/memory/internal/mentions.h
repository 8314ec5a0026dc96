#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "reef/core/time.h"

namespace reef::memory::internal {

/// Which buffered messages a later one speaks of again: it shares two of their words that are rare.
///
/// A message counts until it was mentioned twice, after which more change nothing. Of those that share a word the
/// newest kNewest are looked at, so that a day of very many messages stays linear.
class Mentions {
 public:
  static constexpr std::size_t kNewest = 256;
  static constexpr std::int64_t kEnough = 2;

  /// words: ascending.
  void add(std::int64_t rank, Time created, std::int64_t mentions, std::span<const std::uint64_t> words);
  void remove(std::int64_t rank);
  /// Ranks that a message of that time mentions. rare: its words that few messages had before, ascending.
  std::vector<std::int64_t> mentioned_by(Time created, std::span<const std::uint64_t> rare);

 private:
  struct Entry {
    Time created;
    std::int64_t mentions = 0;
  };
  std::unordered_map<std::int64_t, Entry> entries_;
  std::unordered_map<std::uint64_t, std::vector<std::int64_t>> by_word_;  ///< ranks ascending; some are gone
};

}  // namespace reef::memory::internal
