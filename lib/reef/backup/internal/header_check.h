#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reef/backup/archive_reader.h"
#include "reef/backup/internal/frame_reader.h"
#include "reef/backup/internal/frame_table.h"

namespace reef::backup::internal {

/// Compares the headers of the tar archive, which other programs go by, with the index.
class HeaderCheck {
 public:
  HeaderCheck(FrameReader& frames, const FrameTable& table, const std::string& name);

  /// To be told of every frame in order: its headers are compared if it is sound.
  void advance(std::size_t frame, bool is_sound);
  std::vector<ArchiveFault>& faults() { return faults_; }

 private:
  void compare(std::size_t frame);

  const FrameTable& table_;
  TarScanner scanner_;
  std::size_t next_ = 0;          ///< entry to be compared
  std::uint64_t sound_from_ = 0;  ///< of the tar archive: from here to the frame at hand all is sound
  std::vector<ArchiveFault> faults_;
};

}  // namespace reef::backup::internal
