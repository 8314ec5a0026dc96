#include "reef/model/internal/range_digests.h"

#include <algorithm>

namespace reef::model::internal {

void RangeDigests::take(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
  const std::uint64_t end = offset + bytes.size();
  for (; next_ < ranges_.size(); ++next_) {
    const Range& range = ranges_[next_];
    const std::uint64_t from = std::max(range.begin, offset), to = std::min(range.end, end);
    if (from < to) hash_.update(bytes.subspan(from - offset, to - from));
    if (range.end > end) return;
    *range.digest = io::to_hex(hash_.finish());
    hash_ = io::Sha256();
  }
}

}  // namespace reef::model::internal
