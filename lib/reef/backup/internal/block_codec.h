#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "reef/backup/internal/block.h"

namespace reef::backup::internal {

/// Compresses blocks where that pays. Of one thread.
class BlockEncoder {
 public:
  BlockEncoder();
  ~BlockEncoder();
  BlockEncoder(BlockEncoder&&) noexcept;

  /// Appends what is to be stored of `bytes` to `out` and fills in all of `block` but name, hash and offset. After a
  /// block that did not get an eighth smaller the next ones are stored as they are, ever more of them: vectors and
  /// weights do not compress, and databases may hold both.
  void encode(std::span<const std::uint8_t> bytes, StoredBlock& block, std::vector<std::uint8_t>& out);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  unsigned skip_ = 0;       ///< blocks that are not tried now
  unsigned next_skip_ = 0;  ///< after the next failure
};

/// Fills in the names of blocks, two at a time where they are of one length. `contents` and `blocks` belong together.
void name_blocks(std::span<const std::span<const std::uint8_t>> contents, std::span<StoredBlock> blocks);

/// Decodes neighbours of a pack: `stored` holds their stored bytes, one after the other, and their contents go to
/// `into`, one after the other. A block whose bytes are not those of its name is told by its number among them; what
/// then stands in `into` is undefined.
void decode_blocks(std::span<const StoredBlock> blocks, std::span<const std::uint8_t> stored,
                   std::span<std::uint8_t> into, const std::function<void(std::size_t)>& bad);

bool is_zero(std::span<const std::uint8_t> bytes);

}  // namespace reef::backup::internal
