#pragma once

#include <xmmintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace reef::vector::internal {

/// Into the second cache, which keeps more lines on their way than the first: a quarter of the time of a search among
/// 125,000 rows of 1 KiB (Zen 4).
inline void prefetch(const void* address, std::size_t bytes) {
  const auto* const begin = static_cast<const char*>(address);
  for (std::size_t offset = 0; offset < bytes; offset += 64) _mm_prefetch(begin + offset, _MM_HINT_T1);
  _mm_prefetch(begin + bytes - 1, _MM_HINT_T1);  // FAISS's files align nothing: the last line
}
/// Rows that are asked for before the first of them is used.
inline constexpr std::size_t kRowsAhead = 16;

/// The rows nearest so far in a best-first search, each expanded once: a sorted array. Entries are small and memmove
/// shifts hundreds of them faster than two heaps keep their order.
template <typename Distance>
class Beam {
 public:
  struct Entry {
    Distance distance;
    std::uint32_t tagged;  ///< the id; the top bit is set when the row was expanded

    std::uint32_t id() const { return tagged & ~kExpanded; }
    bool expanded() const { return (tagged & kExpanded) != 0; }
  };

  explicit Beam(std::size_t width) : entries_(width + 1), width_(width) {}

  void start(Distance distance, std::uint32_t id) {
    entries_[0] = {distance, id};
    size_ = 1;
    next_ = 0;
  }

  /// The nearest row that was not expanded, which it then counts as; nullopt when there is none.
  std::optional<std::uint32_t> expand_next() {
    while (next_ < size_ && entries_[next_].expanded()) ++next_;
    if (next_ == size_) return std::nullopt;
    const std::uint32_t id = entries_[next_].tagged;
    entries_[next_++].tagged |= kExpanded;
    return id;
  }

  /// The row that expand_next() may give after its next one.
  std::optional<std::uint32_t> peek_next() {
    while (next_ < size_ && entries_[next_].expanded()) ++next_;
    if (next_ + 1 >= size_) return std::nullopt;
    return entries_[next_ + 1].id();
  }

  void offer(Distance distance, std::uint32_t id) {
    if (size_ == width_ && distance >= entries_[size_ - 1].distance) return;
    const std::size_t at = place_of(distance);
    const std::size_t moved = (size_ < width_ ? size_ : width_ - 1) - at;
    std::memmove(entries_.data() + at + 1, entries_.data() + at, moved * sizeof(Entry));
    entries_[at] = {distance, id};
    if (size_ < width_) ++size_;
    if (at < next_) next_ = at;
  }

  /// Nearest first.
  std::span<const Entry> entries() const { return {entries_.data(), size_}; }

 private:
  static constexpr std::uint32_t kExpanded = 1U << 31;

  /// Upper bound by conditional moves: the branches of std::upper_bound are never predicted here (5 % of a build).
  std::size_t place_of(Distance distance) const {
    std::size_t at = 0, size = size_;
    while (size > 1) {
      const std::size_t half = size / 2;
      at += entries_[at + half - 1].distance <= distance ? half : 0;
      size -= half;
    }
    return at + ((size == 1 && entries_[at].distance <= distance) ? 1 : 0);
  }

  std::vector<Entry> entries_;
  std::size_t width_;
  std::size_t size_ = 0;
  std::size_t next_ = 0;  ///< all before it were expanded
};

}  // namespace reef::vector::internal
