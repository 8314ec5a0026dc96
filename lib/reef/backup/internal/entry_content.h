#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "reef/backup/internal/archive_index.h"
#include "reef/backup/internal/frame_reader.h"

namespace reef::backup::internal {

/// What a file in an archive holds.
class EntryContent : public Content {
 public:
  EntryContent(FrameReader& frames, const IndexedEntry& indexed) : frames_(frames), indexed_(indexed) {}

  std::uint64_t size_bytes() const override { return indexed_.tar.entry.size_bytes; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override;
  std::uint64_t next_data(std::uint64_t offset) const override;
  Counts finish() override { return indexed_.counts; }

  /// Whether it was the archive that failed, and not whoever reads from it.
  bool has_failed() const { return failed_; }

 private:
  void read_stored(std::uint64_t offset, std::span<std::uint8_t> into) const;

  FrameReader& frames_;
  const IndexedEntry& indexed_;
  mutable std::atomic<bool> failed_{false};
};

}  // namespace reef::backup::internal
