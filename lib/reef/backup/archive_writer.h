#pragma once

#include <cstdint>
#include <memory>

#include "reef/backup/archive_output.h"
#include "reef/backup/entry.h"

namespace reef::backup {

/// Writes entries as one archive that standard tools open: `zstd -dc F | tar x`, or `tar --zstd -xf F`.
///
/// It is a tar archive in POSIX's pax format, cut into frames of zstd's that are each compressed on their own, 4 MiB of
/// it at most; a file that fills a frame begins one. Behind them stand an index (internal/archive_index.h) and zstd's
/// seek table, which other programs skip. Frames are compressed on threads of their own; what a sample shows not to get
/// smaller by a tenth is stored as it is.
///
/// Memory is bounded: some 9 MiB a thread, of which there are at most eight, and the index, some 70 bytes and the path
/// of each entry.
class ArchiveWriter : public Sink {
 public:
  /// `output` must outlive it. `threads`: 0: all cores.
  explicit ArchiveWriter(ArchiveOutput& output, unsigned threads = 0);
  ~ArchiveWriter() override;

  /// Throws Error{failed} for a path that leads out of the tree, and what the output throws; after that, put nothing.
  void put(const Entry& entry, Content* content) override;
  /// Writes what makes it whole, and finishes the output.
  void finish();

  std::uint64_t files() const { return files_; }       ///< entries that are no folders
  std::uint64_t size_bytes() const { return bytes_; }  ///< of files; of hard links once

 private:
  struct State;
  void cut();
  void append(std::string_view text);
  void append_content(const Content& content, std::uint64_t offset, std::uint64_t bytes);
  void pad();

  std::unique_ptr<State> state_;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace reef::backup
