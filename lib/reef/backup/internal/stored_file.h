#pragma once

#include <atomic>
#include <string>

#include "reef/backup/entry.h"
#include "reef/backup/internal/block_lists.h"
#include "reef/core/error.h"

namespace reef::backup::internal {

/// What is there can be read, and is not what the file was made of.
class OtherBlocks : public Error {
 public:
  using Error::Error;
};

/// The content of a file in a repository; every block is checked when it is read.
class StoredFile : public Content {
 public:
  /// Reads which blocks it has. Throws OtherBlocks unless they are those of which it was made, Error{corrupt} where
  /// that cannot be read.
  StoredFile(Packs& packs, const StoredEntry& entry);

  std::uint64_t size_bytes() const override { return blocks_.size(); }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override;
  std::uint64_t next_data(std::uint64_t offset) const override;
  Counts finish() override { return counts_; }

  /// Whether read() threw: then it is not the sink that failed.
  bool is_damaged() const { return damaged_; }

 private:
  void check_digest(const StoredEntry& entry) const;
  void read_blocks(std::uint64_t first, std::uint64_t count, std::span<std::uint8_t> into) const;
  [[noreturn]] void fail(std::uint64_t block, const std::string& what) const;

  Packs& packs_;
  std::string path_;
  Counts counts_;
  BlockList blocks_;
  mutable std::atomic<bool> damaged_{false};
};

}  // namespace reef::backup::internal
