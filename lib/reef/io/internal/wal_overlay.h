#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace reef::io::internal {

/// Fills all of `into` from `offset` on, or throws.
using ReadAt = std::function<void(std::uint64_t offset, std::span<std::uint8_t> into)>;

/// Where a WAL stands at one commit, as the wal-index tells readers of it (sqlite.org/walformat.html).
struct WalPosition {
  std::uint32_t page_size = 0;
  std::uint32_t backfilled = 0;  ///< frames whose pages are in the database file by now
  std::uint32_t last = 0;        ///< the last frame of the commit; frames count from 1
  std::uint32_t pages = 0;       ///< of the database after it
  std::array<std::uint8_t, 8> salts{};
  std::array<std::uint32_t, 2> checksum{};  ///< of everything up to `last`
};

/// Which frame of a WAL holds a page: the newest of those that count. Eight bytes a page; the frames stay where they
/// are.
class WalOverlay {
 public:
  WalOverlay() = default;
  /// Reads and checks the frames behind those that are in the database file. Throws Error{corrupt}, naming `name` and
  /// the frame, where their checksums do not lead to that of the position.
  WalOverlay(const ReadAt& wal, const WalPosition& position, const std::string& name);
  /// Without a wal-index, of a WAL of `bytes` bytes that nobody writes to: all commits up to the first frame that does
  /// not belong to it. Fills page_size, last and pages of `found`; last is 0 where there is no commit.
  WalOverlay(const ReadAt& wal, std::uint64_t bytes, WalPosition& found);

  /// The first page from `page` on that has a frame, and the offset of its bytes in the WAL.
  std::optional<std::pair<std::uint32_t, std::uint64_t>> next(std::uint32_t page) const;
  /// How many pages behind `page` have a frame.
  std::uint32_t behind(std::uint32_t page) const;
  std::size_t size() const { return newest_.size(); }

 private:
  void keep_newest(std::uint32_t pages);

  std::uint32_t page_size_ = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> newest_;  ///< page and frame, ascending by page
};

}  // namespace reef::io::internal
