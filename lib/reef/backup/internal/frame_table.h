#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reef/backup/archive_reader.h"
#include "reef/backup/internal/archive_index.h"

namespace reef::backup::internal {

/// A frame, and where it lies.
struct FrameAt {
  FrameInfo info;
  bool has_xxh3 = false;     ///< the index tells it
  std::uint64_t offset = 0;  ///< in the file
  std::uint64_t begin = 0;   ///< of its content in the tar archive
};

/// What the tables at the end of an archive say; where they are damaged, what its frames tell themselves.
struct FrameTable {
  std::vector<FrameAt> frames;
  std::uint64_t tar_bytes = 0;
  std::optional<std::vector<IndexedEntry>> entries;  ///< of the index
  std::vector<ArchiveFault> faults;
  bool is_cut_off = false;  ///< frames are missing at the end
};

/// Throws Error{corrupt} for a file that does not begin as an archive does.
FrameTable read_frame_table(const ArchiveSource& source);

/// The number of the frame that holds that byte of the tar archive. Precondition: it has it.
std::size_t frame_of(const FrameTable& table, std::uint64_t offset);

}  // namespace reef::backup::internal
