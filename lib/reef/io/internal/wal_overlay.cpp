#include "reef/io/internal/wal_overlay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "reef/core/cancel.h"
#include "reef/core/error.h"

namespace reef::io::internal {
namespace {

// sqlite.org/fileformat2.html, section 4.
constexpr std::uint64_t kWalHeader = 32;
constexpr std::uint64_t kFrameHeader = 24;
constexpr std::uint32_t kMagic = 0x377f0682;  ///< its lowest bit set: checksums of big-endian words
constexpr std::uint32_t kLargestPage = 65536;
constexpr std::uint32_t kSmallestPage = 512;
constexpr std::uint64_t kReadAhead = 1 << 20;

std::uint32_t big_endian(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 |
         static_cast<std::uint32_t>(p[2]) << 8 | p[3];
}

class Checksum {
 public:
  Checksum(bool big, std::uint32_t first, std::uint32_t second) : swap_(big), first_(first), second_(second) {}

  /// `bytes` is a multiple of 8.
  void add(const std::uint8_t* p, std::size_t bytes) {
    if (swap_)
      add_words<true>(p, bytes);
    else
      add_words<false>(p, bytes);
  }
  bool stands_at(const std::uint8_t* p) const { return big_endian(p) == first_ && big_endian(p + 4) == second_; }
  bool is(const std::array<std::uint32_t, 2>& sum) const { return sum[0] == first_ && sum[1] == second_; }

 private:
  template <bool kBig>
  static std::uint32_t word(const std::uint8_t* p) {
    std::uint32_t value = 0;
    std::memcpy(&value, p, sizeof value);
    constexpr bool kSwap = kBig == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    return kSwap ? __builtin_bswap32(value) : value;
  }
  template <bool kBig>
  void add_words(const std::uint8_t* p, std::size_t bytes) {
    for (const std::uint8_t* const end = p + bytes; p != end; p += 8) {
      first_ += word<kBig>(p) + second_;
      second_ += word<kBig>(p + 4) + first_;
    }
  }

  bool swap_;
  std::uint32_t first_;
  std::uint32_t second_;
};

struct WalHeader {
  std::array<std::uint8_t, kWalHeader> bytes{};
  std::uint32_t page_size = 0;
  bool big_endian_sums = false;

  bool sound() const {
    Checksum sum(big_endian_sums, 0, 0);
    sum.add(bytes.data(), 24);
    const bool power_of_two = (page_size & (page_size - 1)) == 0;
    return (big_endian(bytes.data()) & ~1U) == kMagic && page_size >= kSmallestPage && page_size <= kLargestPage &&
           power_of_two && sum.stands_at(&bytes[24]);
  }
};

WalHeader read_header(const ReadAt& wal) {
  WalHeader header;
  wal(0, header.bytes);
  header.page_size = big_endian(&header.bytes[8]);
  header.big_endian_sums = (big_endian(header.bytes.data()) & 1U) != 0;
  return header;
}

/// Frames one after the other, read many at a time.
class Frames {
 public:
  Frames(const ReadAt& wal, std::uint32_t page_size, std::uint32_t first, std::uint32_t last)
      : wal_(wal), frame_bytes_(kFrameHeader + page_size), next_(first), last_(last) {}

  /// Header and page; nullptr behind the last one.
  const std::uint8_t* next() {
    if (next_ > last_) return nullptr;
    if (at_ == buffer_.size()) {
      check_interrupt();
      const std::uint64_t many = std::max<std::uint64_t>(kReadAhead / frame_bytes_, 1);
      buffer_.resize(std::min<std::uint64_t>(many, last_ - next_ + 1) * frame_bytes_);
      wal_(kWalHeader + (next_ - 1) * frame_bytes_, buffer_);
      at_ = 0;
    }
    const std::uint8_t* const frame = &buffer_[at_];
    at_ += frame_bytes_;
    ++next_;
    return frame;
  }

 private:
  const ReadAt& wal_;
  std::uint64_t frame_bytes_;
  std::uint64_t next_;
  std::uint64_t last_;
  std::vector<std::uint8_t> buffer_;
  std::size_t at_ = 0;
};

/// Whether the frame is the next one of the WAL with that header, as far as its salts and the checksums up to it say.
bool belongs(const std::uint8_t* frame, const WalHeader& header, Checksum& sum) {
  sum.add(frame, 8);
  sum.add(frame + kFrameHeader, header.page_size);
  return std::memcmp(frame + 8, &header.bytes[16], 8) == 0 && sum.stands_at(frame + 16);
}

[[noreturn]] void throw_damaged(const std::string& name, const std::string& what) {
  throw Error(Errc::corrupt, fmt::format("the write-ahead log of {} is damaged: {}", name, what),
              "restore the database from a backup, or what can be read of it with '.recover' of a newer sqlite3");
}

}  // namespace

WalOverlay::WalOverlay(const ReadAt& wal, const WalPosition& position, const std::string& name)
    : page_size_(position.page_size) {
  const WalHeader header = read_header(wal);
  if (!header.sound() || header.page_size != page_size_ ||
      std::memcmp(&header.bytes[16], position.salts.data(), position.salts.size()) != 0)
    throw_damaged(name, "its header is another one than its readers were told");
  // Each frame holds the checksum of all before it, too: what is in the database file need not be read again.
  std::array<std::uint8_t, 8> sums{};
  if (position.backfilled == 0)
    std::copy_n(&header.bytes[24], sums.size(), sums.begin());
  else
    wal(kWalHeader + (position.backfilled - 1) * (kFrameHeader + std::uint64_t{page_size_}) + 16, sums);
  Checksum sum(header.big_endian_sums, big_endian(sums.data()), big_endian(&sums[4]));
  Frames frames(wal, page_size_, position.backfilled + 1, position.last);
  newest_.reserve(position.last - position.backfilled);
  for (std::uint32_t i = position.backfilled + 1; i <= position.last; ++i) {
    const std::uint8_t* const frame = frames.next();
    if (!belongs(frame, header, sum)) throw_damaged(name, fmt::format("frame {} does not match its checksum", i));
    newest_.emplace_back(big_endian(frame), i);
  }
  if (!sum.is(position.checksum)) throw_damaged(name, "its last commit is another one than its readers were told");
  keep_newest(position.pages);
}

WalOverlay::WalOverlay(const ReadAt& wal, std::uint64_t bytes, WalPosition& found) {
  found = {};
  if (bytes < kWalHeader) return;
  const WalHeader header = read_header(wal);
  if (!header.sound()) return;
  page_size_ = found.page_size = header.page_size;
  const std::uint64_t count = std::min<std::uint64_t>((bytes - kWalHeader) / (kFrameHeader + page_size_), UINT32_MAX);
  Checksum sum(header.big_endian_sums, big_endian(&header.bytes[24]), big_endian(&header.bytes[28]));
  Frames frames(wal, page_size_, 1, static_cast<std::uint32_t>(count));
  std::size_t committed = 0;
  while (const std::uint8_t* const frame = frames.next()) {
    if (!belongs(frame, header, sum)) break;
    newest_.emplace_back(big_endian(frame), static_cast<std::uint32_t>(newest_.size() + 1));
    if (const std::uint32_t pages = big_endian(frame + 4); pages != 0) {
      committed = newest_.size();
      found.last = static_cast<std::uint32_t>(committed);
      found.pages = pages;
    }
  }
  newest_.resize(committed);
  keep_newest(found.pages);
}

void WalOverlay::keep_newest(std::uint32_t pages) {
  std::sort(newest_.begin(), newest_.end());
  std::size_t kept = 0;
  for (std::size_t i = 0; i < newest_.size(); ++i) {
    const bool superseded = i + 1 < newest_.size() && newest_[i + 1].first == newest_[i].first;
    // A VACUUM may have left pages behind the end of the database.
    if (!superseded && newest_[i].first != 0 && newest_[i].first <= pages) newest_[kept++] = newest_[i];
  }
  newest_.resize(kept);
  newest_.shrink_to_fit();
}

std::optional<std::pair<std::uint32_t, std::uint64_t>> WalOverlay::next(std::uint32_t page) const {
  const auto found = std::lower_bound(newest_.begin(), newest_.end(), std::pair(page, std::uint32_t{0}));
  if (found == newest_.end()) return std::nullopt;
  return std::pair(found->first,
                   kWalHeader + (found->second - 1) * (kFrameHeader + std::uint64_t{page_size_}) + kFrameHeader);
}

std::uint32_t WalOverlay::behind(std::uint32_t page) const {
  const auto first = std::lower_bound(newest_.begin(), newest_.end(), std::pair(page + 1, std::uint32_t{0}));
  return static_cast<std::uint32_t>(newest_.end() - first);
}

}  // namespace reef::io::internal
