#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "reef/backup/entry.h"

namespace reef::backup::internal {

inline constexpr std::uint64_t kTarBlock = 512;
constexpr std::uint64_t padded(std::uint64_t bytes) { return (bytes + kTarBlock - 1) / kTarBlock * kTarBlock; }

/// A range of a file that is stored; between ranges there are zeros.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// The ranges of a file that has a hole of a mebibyte or more; the last one is {size, 0}, as GNU tar writes it. Empty
/// for a file without.
std::vector<Extent> data_extents(const Content& content);

/// The bytes that are stored of such a file, without its map.
std::uint64_t stored_bytes(const std::vector<Extent>& extents);

/// What precedes them in a tar archive (GNU's sparse format 1.0): decimal lines of the number of ranges and of each
/// one's offset and length, padded to a block.
std::string sparse_map(const std::vector<Extent>& extents);

/// Reads bytes of a tar archive; throws Error{corrupt} past its end.
using ReadTar = std::function<void(std::uint64_t offset, std::span<std::uint8_t> into)>;

/// Reads such a map, which begins at `offset` and is followed by the ranges, both together of `bytes`; sets `data` to
/// where the ranges begin. Empty when it is none or does not fit a file of `file_bytes`.
std::vector<Extent> read_sparse_map(const ReadTar& read, std::uint64_t offset, std::uint64_t bytes,
                                    std::uint64_t file_bytes, std::uint64_t& data);

}  // namespace reef::backup::internal
