#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "reef/io/direct_file.h"
#include "reef/io/ordered_reader.h"
#include "reef/model/internal/slice.h"

namespace reef::model::internal {

/// Bytes of a file.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  ///< one past the last byte
};

/// Reads ranges that are sorted and apart from one another, with `take` called on all of their bytes in order. Ranges
/// that lie near each other come in one read, what is far apart is left out; memory is bounded. Returns the bytes read.
/// `next` gives the next range and an empty one at the end; `restart` makes it begin anew: it is run through twice.
/// Throws Error{corrupt} when the file ends before, Error{failed}, Error{interrupted}.
std::uint64_t read_ranges(const io::DirectFile& file, const std::function<ByteRange()>& next,
                          const std::function<void()>& restart,
                          const std::function<void(std::span<const std::uint8_t>)>& take);

/// One range of a file, front to back, with the next pieces in flight.
class RangeReader {
 public:
  RangeReader(const io::DirectFile& file, ByteRange range);

  /// The next `count` bytes, at most those that are left; they live until the next call. Throws as read_ranges() does.
  std::span<const std::uint8_t> take(std::size_t count);

 private:
  void next_piece();

  const io::DirectFile& file_;
  ByteRange range_;
  std::vector<io::Piece> pieces_;
  io::OrderedReader reader_;
  std::span<const std::uint8_t> piece_;  ///< what is left of it
  std::vector<std::uint8_t> joined_;     ///< bytes of two pieces
};

}  // namespace reef::model::internal
