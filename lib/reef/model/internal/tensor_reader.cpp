#include "reef/model/internal/tensor_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::model::internal {
namespace {

/// Reading what lies between costs less than asking the drive again.
constexpr std::uint64_t kNear = 64 << 10;
/// Pieces in flight for one range: two are read at once, by each thread.
constexpr std::size_t kDepth = 4;

/// Reads that cover sorted ranges, of whole sectors.
class Cover {
 public:
  explicit Cover(const io::DirectFile& file) : file_(file) {}

  void add(ByteRange range) {
    while (range.begin < range.end) {
      if (pieces_.empty() || range.begin >= limit() || range.begin > end() + kNear)
        pieces_.push_back({&file_, range.begin / io::DirectFile::kSector * io::DirectFile::kSector, 0});
      io::Piece& piece = pieces_.back();
      const std::uint64_t stop = std::min(range.end, limit());
      const std::uint64_t sectors = (stop - piece.offset + io::DirectFile::kSector - 1) / io::DirectFile::kSector;
      piece.bytes = std::min(sectors * io::DirectFile::kSector, file_.size() - piece.offset);
      range.begin = stop;
    }
  }

  std::vector<io::Piece> take() { return std::move(pieces_); }

 private:
  std::uint64_t end() const { return pieces_.back().offset + pieces_.back().bytes; }
  std::uint64_t limit() const { return pieces_.back().offset + io::kPieceBytes; }

  const io::DirectFile& file_;
  std::vector<io::Piece> pieces_;
};

void check_within(const io::DirectFile& file, ByteRange range) {
  if (range.begin > range.end || range.end > file.size())
    throw Error(Errc::corrupt,
                fmt::format("{} has {} bytes, its header names {}", io::shown(file.path()), file.size(), range.end),
                "it was replaced or cut meanwhile; run 'reef-model verify'");
}

std::span<const std::uint8_t> bytes_of(const io::PieceRead& read, const io::DirectFile& file) {
  if (read.error == 0) return read.bytes;
  errno = read.error;
  throw_errno("read", io::shown(file.path()));
}

std::vector<io::Piece> cover(const io::DirectFile& file, ByteRange range) {
  check_within(file, range);
  Cover cover(file);
  cover.add(range);
  return cover.take();
}

}  // namespace

std::uint64_t read_ranges(const io::DirectFile& file, const std::function<ByteRange()>& next,
                          const std::function<void()>& restart,
                          const std::function<void(std::span<const std::uint8_t>)>& take) {
  Cover cover(file);
  for (ByteRange range = next(); range.begin < range.end; range = next()) {
    check_within(file, range);
    cover.add(range);
  }
  restart();
  const std::vector<io::Piece> pieces = cover.take();
  std::uint64_t bytes_read = 0;
  io::OrderedReader reader(pieces);
  ByteRange range = next();
  while (const auto read = reader.next()) {
    const std::span<const std::uint8_t> bytes = bytes_of(*read, file);
    const std::uint64_t begin = pieces[read->piece].offset, end = begin + bytes.size();
    bytes_read += bytes.size();
    while (range.begin < range.end && range.begin < end) {
      const std::uint64_t stop = std::min(range.end, end);
      take(bytes.subspan(range.begin - begin, stop - range.begin));
      range.begin = stop;
      if (stop == range.end) range = next();
    }
  }
  return bytes_read;
}

RangeReader::RangeReader(const io::DirectFile& file, ByteRange range)
    : file_(file), range_(range), pieces_(cover(file, range)), reader_(pieces_, kDepth) {}

void RangeReader::next_piece() {
  const auto read = reader_.next();
  const std::span<const std::uint8_t> bytes = bytes_of(read.value(), file_);
  const std::uint64_t begin = pieces_[read->piece].offset;
  const std::uint64_t from = std::max(range_.begin, begin);
  piece_ = bytes.subspan(from - begin, std::min(range_.end, begin + bytes.size()) - from);
}

std::span<const std::uint8_t> RangeReader::take(std::size_t count) {
  if (piece_.empty() && count > 0) next_piece();
  std::span<const std::uint8_t> taken = piece_.first(std::min(count, piece_.size()));
  piece_ = piece_.subspan(taken.size());
  if (taken.size() == count) return taken;
  joined_.assign(taken.begin(), taken.end());
  while (joined_.size() < count) {
    next_piece();
    taken = piece_.first(std::min(count - joined_.size(), piece_.size()));
    joined_.insert(joined_.end(), taken.begin(), taken.end());
    piece_ = piece_.subspan(taken.size());
  }
  return joined_;
}

}  // namespace reef::model::internal
