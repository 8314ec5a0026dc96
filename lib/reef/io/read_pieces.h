#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "reef/io/direct_file.h"

namespace reef::io {

/// The longest piece, and the size of a huge page: such a read is one request to a drive.
inline constexpr std::size_t kPieceBytes = std::size_t{2} << 20;

/// Reads under way or handed out, of all threads of one read_pieces() together: its memory does not grow with the
/// cores.
inline constexpr std::size_t kMostAtOnce = 32;

/// A range of a file, read as a whole. `offset` is a multiple of DirectFile::kSector, `bytes` at most kPieceBytes.
struct Piece {
  const DirectFile* file = nullptr;
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
};

/// The whole file, in pieces of kPieceBytes and a shorter one.
std::vector<Piece> pieces_of(const DirectFile& file);

struct PieceRead {
  std::size_t piece = 0;                ///< which
  std::span<const std::uint8_t> bytes;  ///< empty when there is an error
  int error = 0;                        ///< of errno(3); ENODATA: the file ends before
};

struct PieceOptions {
  unsigned threads = 1;
  /// Where the bytes of a piece go, aligned and with room as in ReadRequest. Empty: to memory that is used again.
  std::function<std::uint8_t*(std::size_t piece)> into{};
  /// What lies in the page cache is copied before it is handed out: for who uses it again after comparing it.
  bool copies_cached = false;
};

/// Reads pieces of large files at the speed of the drive: each thread has up to a dozen in flight (kMostAtOnce, 64 MiB,
/// in all; threads that would have less than two do not run), and gives one or two at a time to `take` as soon as they
/// are there, in any order. Two of one length come together where possible, for sha256_pair(). What is in the page
/// cache already is handed out where it lies (without `into`).
///
/// `take` runs on all threads at once and may throw to stop; its bytes live until it returns. `report` runs on the
/// calling thread after each of its own. Throws what they throw, and Error{interrupted}. An error of a read does not
/// stop the others.
void read_pieces(std::span<const Piece> pieces, const PieceOptions& options,
                 const std::function<void(std::size_t worker, std::span<const PieceRead> done)>& take,
                 const std::function<void()>& report);

}  // namespace reef::io
