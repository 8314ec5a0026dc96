#pragma once

#include <cstddef>

#include "reef/io/mapped_file.h"

namespace reef::vector::internal {

/// Up to here a file is read as a whole when it is not in memory: that takes less time than the
/// faults of a few dozen rows, one after the other.
inline constexpr std::size_t kSmallFile = 64 << 20;

/// Before the first byte is looked at: that fault would bring megabytes in 4 KiB pages.
inline void load_if_small(const io::MappedFile& file) {
  if (file.size() <= kSmallFile) file.load(0, file.size());
}

}  // namespace reef::vector::internal
