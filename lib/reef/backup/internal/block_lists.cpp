#include "reef/backup/internal/block_lists.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "reef/core/error.h"

namespace reef::backup::internal {
namespace {

std::uint64_t count_of(std::span<const BlockRun> runs) {
  return std::accumulate(runs.begin(), runs.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const BlockRun& run) { return sum + run.count; });
}

}  // namespace

BlockList::BlockList(Packs& packs, const StoredContent& content, std::uint64_t size, const std::string& where)
    : size_(size), runs_(content.runs) {
  std::uint64_t left = blocks();
  for (const NodeRef& list : content.lists) {
    const std::vector<BlockRun> part = read_list(packs.read_node(list), where);
    if (count_of(part) != std::min<std::uint64_t>(left, kListBlocks)) {
      throw Error(Errc::corrupt, fmt::format("{} has a list of other blocks than a file of its size", where),
                  "run 'reef-backup verify'");
    }
    left -= std::min<std::uint64_t>(left, kListBlocks);
    runs_.insert(runs_.end(), part.begin(), part.end());
  }
  starts_.reserve(runs_.size());
  std::uint64_t start = 0;
  for (const BlockRun& run : runs_) {
    starts_.push_back(start);
    start += run.count;
  }
}

std::uint32_t BlockList::bytes_of(std::uint64_t block) const {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockBytes, size_ - block * kBlockBytes));
}

std::size_t BlockList::run_of(std::uint64_t block) const {
  return static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), block) - starts_.begin()) - 1;
}

std::vector<BlockRun> BlockList::runs(std::uint64_t first, std::uint64_t count) const {
  std::vector<BlockRun> found;
  for (std::size_t i = count > 0 ? run_of(first) : 0; count > 0; ++i) {
    const auto skipped = static_cast<std::uint32_t>(first - starts_[i]);
    BlockRun run = runs_[i];
    run.first += run.pack == 0 ? 0 : skipped;
    run.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(run.count - skipped, count));
    found.push_back(run);
    first += run.count;
    count -= run.count;
  }
  return found;
}

std::uint64_t BlockList::next_stored(std::uint64_t block) const {
  if (block >= blocks()) return blocks();
  for (std::size_t i = run_of(block); i < runs_.size(); ++i) {
    if (runs_[i].pack != 0) return std::max(block, starts_[i]);
  }
  return blocks();
}

void ContentBuilder::add(const BlockRef& block, const io::Sha256Digest& name) {
  append_run(runs_, {block.pack, block.number, 1});
  names_.update(name);
}

void ContentBuilder::add_zeros(std::uint64_t count) {
  constexpr io::Sha256Digest kNoName{};
  for (std::uint64_t left = count; left > 0;) {
    const auto part = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, kListBlocks));
    append_run(runs_, {0, 0, part});
    left -= part;
  }
  for (std::uint64_t i = 0; i < count; ++i) names_.update(kNoName);
}

std::vector<std::vector<BlockRun>> ContentBuilder::split() const {
  std::vector<std::vector<BlockRun>> lists;
  std::uint32_t room = 0;
  for (BlockRun run : runs_) {
    while (run.count > 0) {
      if (room == 0) {
        lists.emplace_back();
        room = kListBlocks;
      }
      const std::uint32_t part = std::min(run.count, room);
      lists.back().push_back({run.pack, run.first, part});
      run.first += run.pack == 0 ? 0 : part;
      run.count -= part;
      room -= part;
    }
  }
  return lists;
}

}  // namespace reef::backup::internal
