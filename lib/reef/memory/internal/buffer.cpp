#include "reef/memory/internal/buffer.h"

namespace reef::memory::internal {

void Buffer::add(Time created, Buffered entry, std::span<const std::uint64_t> words) {
  const std::int64_t rank = entry.rank;
  mentions_.add(rank, created, entry.mentions, words);
  place_of_[rank] = entries_.emplace(created, std::move(entry));
}

std::pair<Time, Buffered> Buffer::take_first() {
  const auto node = entries_.extract(entries_.begin());
  const std::int64_t rank = node.mapped().rank;
  mentions_.remove(rank);
  place_of_.erase(rank);
  return {node.key(), std::move(node.mapped())};
}

std::vector<const Buffered*> Buffer::mention(Time created, std::span<const std::uint64_t> rare) {
  std::vector<const Buffered*> mentioned;
  for (const std::int64_t rank : mentions_.mentioned_by(created, rare)) {
    Buffered& entry = place_of_.at(rank)->second;
    ++entry.mentions;
    mentioned.push_back(&entry);
  }
  return mentioned;
}

}  // namespace reef::memory::internal
