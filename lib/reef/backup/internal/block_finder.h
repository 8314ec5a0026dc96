#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "reef/backup/internal/block.h"

namespace reef::backup::internal {

/// Where blocks are, by name: 12 bytes a block, of which 4 are of the name, so that 100 GB of blocks take about 100 MB
/// of memory. Whoever asks compares the whole name in the index of the pack. Of one thread.
class BlockFinder {
 public:
  /// Room for so many, before it has to grow.
  void reserve(std::size_t blocks);
  void insert(const io::Sha256Digest& name, const BlockRef& block);
  /// The first block of those that may have the name for which `is_it` holds.
  std::optional<BlockRef> find(const io::Sha256Digest& name, const std::function<bool(const BlockRef&)>& is_it) const;
  std::size_t size() const { return used_; }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    BlockRef block;  ///< of pack 0: free
  };
  static std::uint32_t tag_of(const io::Sha256Digest& name);
  std::size_t place_of(std::uint32_t tag) const {
    return static_cast<std::size_t>((std::uint64_t{tag} * slots_.size()) >> 32);
  }
  void place(const Slot& slot);
  void grow(std::size_t slots);

  std::vector<Slot> slots_;
  std::size_t used_ = 0;
};

}  // namespace reef::backup::internal
