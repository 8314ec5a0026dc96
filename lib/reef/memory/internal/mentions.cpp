#include "reef/memory/internal/mentions.h"

#include <algorithm>

namespace reef::memory::internal {

void Mentions::add(std::int64_t rank, Time created, std::int64_t mentions, std::span<const std::uint64_t> words) {
  if (mentions >= kEnough) return;
  entries_[rank] = {created, mentions};
  for (const std::uint64_t word : words) by_word_[word].push_back(rank);
}

void Mentions::remove(std::int64_t rank) { entries_.erase(rank); }

std::vector<std::int64_t> Mentions::mentioned_by(Time created, std::span<const std::uint64_t> rare) {
  constexpr auto kDay = std::chrono::hours(24);
  std::map<std::int64_t, int> shared;
  for (const std::uint64_t word : rare) {
    const auto found = by_word_.find(word);
    if (found == by_word_.end()) continue;
    auto& ranks = found->second;
    std::erase_if(ranks, [&](std::int64_t rank) { return !entries_.contains(rank); });
    if (ranks.empty()) {
      by_word_.erase(found);
      continue;
    }
    for (auto rank = ranks.end() - static_cast<std::ptrdiff_t>(std::min(ranks.size(), kNewest)); rank != ranks.end();
         ++rank)
      ++shared[*rank];
  }
  std::vector<std::int64_t> mentioned;
  for (const auto& [rank, count] : shared) {
    Entry& entry = entries_.at(rank);
    if (count < 2 || created < entry.created || created - entry.created >= kDay) continue;
    mentioned.push_back(rank);
    if (++entry.mentions >= kEnough) entries_.erase(rank);
  }
  return mentioned;
}

}  // namespace reef::memory::internal
