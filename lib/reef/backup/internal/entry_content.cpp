#include "reef/backup/internal/entry_content.h"

#include <algorithm>

#include "reef/core/error.h"

namespace reef::backup::internal {

void EntryContent::read_stored(std::uint64_t offset, std::span<std::uint8_t> into) const {
  try {
    frames_.read(indexed_.tar.data + offset, into);
  } catch (const Error& error) {
    if (error.code() == Errc::corrupt) failed_ = true;
    throw;
  }
}

void EntryContent::read(std::uint64_t offset, std::span<std::uint8_t> into) const {
  const std::vector<Extent>& extents = indexed_.tar.extents;
  if (extents.empty()) return read_stored(offset, into);
  std::fill(into.begin(), into.end(), std::uint8_t{0});
  const std::uint64_t end = offset + into.size();
  std::uint64_t stored = 0;
  for (const Extent& extent : extents) {
    const std::uint64_t from = std::max(offset, extent.offset);
    const std::uint64_t to = std::min(end, extent.offset + extent.length);
    if (from < to)
      read_stored(stored + (from - extent.offset),
                  into.subspan(static_cast<std::size_t>(from - offset), static_cast<std::size_t>(to - from)));
    stored += extent.length;
    if (extent.offset >= end) break;
  }
}

std::uint64_t EntryContent::next_data(std::uint64_t offset) const {
  const std::vector<Extent>& extents = indexed_.tar.extents;
  if (extents.empty()) return std::min(offset, size_bytes());
  for (const Extent& extent : extents) {
    if (extent.length > 0 && offset < extent.offset + extent.length) return std::max(offset, extent.offset);
  }
  return size_bytes();
}

}  // namespace reef::backup::internal
