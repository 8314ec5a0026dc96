#include "reef/backup/internal/tar_sparse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "reef/core/cancel.h"

namespace reef::backup::internal {
namespace {

/// Where a range of data ends is asked in steps, since contents only tell where the next one begins: a hole shorter
/// than a step is stored as zeros, which cost next to nothing compressed. A step grows with the file, so that a map
/// keeps below kMostExtents.
constexpr std::uint64_t kLeastStep = std::uint64_t{1} << 20;
constexpr std::uint64_t kMostExtents = std::uint64_t{1} << 18;
constexpr std::size_t kLongestNumber = 20;

/// Decimal lines out of blocks.
class MapReader {
 public:
  MapReader(const ReadTar& read, std::uint64_t offset, std::uint64_t end) : read_(read), next_(offset), end_(end) {}

  std::optional<std::uint64_t> number() {
    std::uint64_t value = 0;
    for (std::size_t digits = 0; digits <= kLongestNumber; ++digits) {
      const std::optional<std::uint8_t> byte = take();
      if (!byte) return std::nullopt;
      if (*byte == '\n') return digits > 0 ? std::optional(value) : std::nullopt;
      if (*byte < '0' || *byte > '9') return std::nullopt;
      const std::uint64_t digit = *byte - std::uint64_t{'0'};
      if (value > (UINT64_MAX - digit) / 10) return std::nullopt;
      value = value * 10 + digit;
    }
    return std::nullopt;
  }

  /// The first block past what was taken.
  std::uint64_t data() const { return next_; }

 private:
  std::optional<std::uint8_t> take() {
    if (at_ == block_.size()) {
      if (end_ - next_ < kTarBlock) return std::nullopt;
      check_interrupt();
      read_(next_, block_);
      next_ += kTarBlock;
      at_ = 0;
    }
    return block_[at_++];
  }

  const ReadTar& read_;
  std::uint64_t next_;
  std::uint64_t end_;
  std::array<std::uint8_t, kTarBlock> block_{};
  std::size_t at_ = kTarBlock;
};

}  // namespace

std::vector<Extent> data_extents(const Content& content) {
  const std::uint64_t size = content.size_bytes();
  const std::uint64_t step = std::max(kLeastStep, padded(size / (kMostExtents / 2)));
  std::vector<Extent> extents;
  std::uint64_t at = 0;
  while (at < size) {
    check_interrupt();
    // A range begins with a block, so that what is stored of it is read in whole ones.
    const std::uint64_t begin = std::min(content.next_data(at), size) / kTarBlock * kTarBlock;
    if (begin >= at + step || extents.empty()) extents.push_back({begin, 0});
    const std::uint64_t next = std::max(begin, at);
    if (content.next_data(next) >= size) break;
    at = std::min(size, next + step);
    extents.back().length = at - extents.back().offset;
  }
  if (!extents.empty() && extents.back().length == 0) extents.pop_back();
  const bool is_whole = extents.size() == 1 && extents.front() == Extent{0, size};
  if (is_whole || size - stored_bytes(extents) < kLeastStep) return {};
  extents.push_back({size, 0});
  return extents;
}

std::uint64_t stored_bytes(const std::vector<Extent>& extents) {
  std::uint64_t bytes = 0;
  for (const Extent& extent : extents) bytes += extent.length;
  return bytes;
}

std::string sparse_map(const std::vector<Extent>& extents) {
  std::string map = fmt::format("{}\n", extents.size());
  for (const Extent& extent : extents) map += fmt::format("{}\n{}\n", extent.offset, extent.length);
  map.resize(padded(map.size()), '\0');
  return map;
}

std::vector<Extent> read_sparse_map(const ReadTar& read, std::uint64_t offset, std::uint64_t bytes,
                                    std::uint64_t file_bytes, std::uint64_t& data) {
  MapReader map(read, offset, offset + bytes);
  const std::optional<std::uint64_t> count = map.number();
  if (!count || *count == 0 || *count > kMostExtents) return {};
  std::vector<Extent> extents;
  std::uint64_t end = 0;
  std::uint64_t stored = 0;
  for (std::uint64_t i = 0; i < *count; ++i) {
    const std::optional<std::uint64_t> begin = map.number();
    const std::optional<std::uint64_t> length = begin ? map.number() : std::nullopt;
    if (!length || *begin < end || *begin > file_bytes || *length > file_bytes - *begin) return {};
    extents.push_back({*begin, *length});
    end = *begin + *length;
    stored += *length;
  }
  data = map.data();
  if (data - offset > bytes || bytes - (data - offset) != stored) return {};
  return extents;
}

}  // namespace reef::backup::internal
