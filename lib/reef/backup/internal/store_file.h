#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/backup/internal/block_lists.h"
#include "reef/backup/internal/pack_writer.h"

namespace reef::backup::internal {

/// What an earlier snapshot has of the file.
struct FileBefore {
  StoredContent content;
  BlockList blocks;
};

/// Brings the contents of files into packs.
class FileStorer {
 public:
  /// All that it is given must outlive it.
  FileStorer(Packs& packs, const Checks& checks, PackWriter& writer, unsigned threads);
  ~FileStorer();

  /// Stores what differs from `before` (nullptr: nothing is known) block by block, holes and zeros left out. Large
  /// files are read by several threads; the packs are filled in the order of the file all the same, so that it comes
  /// back in one sweep. `advance` is told of bytes, on the calling thread. Throws what content.read() throws.
  StoredContent store(const Content& content, const FileBefore* before,
                      const std::function<void(std::uint64_t)>& advance);

 private:
  struct Worker;
  class File;

  Packs& packs_;
  const Checks& checks_;
  PackWriter& writer_;
  unsigned threads_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace reef::backup::internal
