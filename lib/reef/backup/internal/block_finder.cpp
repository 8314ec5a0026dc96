#include "reef/backup/internal/block_finder.h"

#include <algorithm>

namespace reef::backup::internal {
namespace {

constexpr std::size_t kFewestSlots = 1024;

/// Three of four slots are used at most: a name that is not there costs few looks.
std::size_t slots_for(std::size_t blocks) { return std::max(kFewestSlots, blocks + blocks / 3 + 1); }

}  // namespace

std::uint32_t BlockFinder::tag_of(const io::Sha256Digest& name) {
  return std::uint32_t{name[0]} << 24 | std::uint32_t{name[1]} << 16 | std::uint32_t{name[2]} << 8 | name[3];
}

void BlockFinder::reserve(std::size_t blocks) {
  if (slots_for(blocks) > slots_.size()) grow(slots_for(blocks));
}

void BlockFinder::insert(const io::Sha256Digest& name, const BlockRef& block) {
  if (slots_for(used_ + 1) > slots_.size()) grow(slots_for(used_ + used_ / 2 + 1));
  place({tag_of(name), block});
  ++used_;
}

std::optional<BlockRef> BlockFinder::find(const io::Sha256Digest& name,
                                          const std::function<bool(const BlockRef&)>& is_it) const {
  if (slots_.empty()) return std::nullopt;
  const std::uint32_t tag = tag_of(name);
  for (std::size_t at = place_of(tag); slots_[at].block.pack != 0; at = at + 1 == slots_.size() ? 0 : at + 1) {
    if (slots_[at].tag == tag && is_it(slots_[at].block)) return slots_[at].block;
  }
  return std::nullopt;
}

void BlockFinder::place(const Slot& slot) {
  std::size_t at = place_of(slot.tag);
  while (slots_[at].block.pack != 0) at = at + 1 == slots_.size() ? 0 : at + 1;
  slots_[at] = slot;
}

void BlockFinder::grow(std::size_t slots) {
  std::vector<Slot> before(slots);
  before.swap(slots_);
  for (const Slot& slot : before) {
    if (slot.block.pack != 0) place(slot);
  }
}

}  // namespace reef::backup::internal
