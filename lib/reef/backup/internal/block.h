#pragma once

#include <cstddef>
#include <cstdint>

#include "reef/io/checksum.h"

namespace reef::backup::internal {

/// What files are cut into. A page of a database and rows of vectors stay where they are, so a cut at multiples finds
/// what changed, and a smaller block would find little less.
inline constexpr std::size_t kBlockBytes = std::size_t{16} << 10;

/// The longest block there can be: descriptions of a tree are stored as blocks as well, and are as long as they are.
inline constexpr std::uint32_t kMostBlockBytes = std::uint32_t{256} << 20;

/// Where a block is. Packs count from 1.
struct BlockRef {
  std::uint32_t pack = 0;  ///< 0: a block of zeros, which is not stored
  std::uint32_t number = 0;
  bool operator==(const BlockRef&) const = default;
};

/// Blocks of a file that are neighbours in a pack; of pack 0: zeros.
struct BlockRun {
  std::uint32_t pack = 0;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  bool operator==(const BlockRun&) const = default;
};

/// A block that describes, and what it must be.
struct NodeRef {
  BlockRef at;
  io::Sha256Digest name{};
  bool operator==(const NodeRef&) const = default;
};

enum class Codec : std::uint32_t { raw = 0, zstd = 1 };

/// A row of a pack's index.
struct StoredBlock {
  io::Sha256Digest name{};       ///< SHA-256 of its bytes
  std::uint64_t hash = 0;        ///< XXH3 of its bytes, by which changes are found
  std::uint64_t offset = 0;      ///< of what is stored
  std::uint32_t stored = 0;      ///< bytes in the pack
  std::uint32_t bytes = 0;       ///< of the block; 0: it was dropped from the pack
  std::uint32_t stored_sum = 0;  ///< the lower half of the XXH3 of what is stored
  Codec codec = Codec::raw;

  bool is_dropped() const { return bytes == 0; }
  std::uint64_t end() const { return offset + stored; }
};

/// Blocks of a file of that size.
constexpr std::uint64_t blocks_of(std::uint64_t size) { return size / kBlockBytes + (size % kBlockBytes != 0 ? 1 : 0); }

}  // namespace reef::backup::internal
