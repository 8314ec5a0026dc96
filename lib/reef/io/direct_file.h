#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "reef/io/file.h"
#include "reef/io/mapped_file.h"

namespace reef::io {

/// A large file that is read once, past the page cache: 100 GB of weights must not throw the databases out of memory.
/// Where the filesystem refuses direct reads (O_DIRECT), plain ones serve, and what they brought into the page cache is
/// given back.
///
/// The file must keep its length while it is read: cached() maps it, see MappedFile.
class DirectFile {
 public:
  /// Offsets and buffers of direct reads are multiples of it: no drive has larger sectors.
  static constexpr std::size_t kSector = 4096;

  /// Throws as MappedFile does.
  explicit DirectFile(const fs::path& path);

  const std::string& path() const { return plain_.path(); }
  std::uint64_t size() const { return plain_.size(); }

  bool is_direct() const { return !refused_; }
  int direct_fd() const { return direct_.get(); }
  int plain_fd() const { return plain_.fd(); }
  /// A direct read failed with EINVAL: is_direct() is false from now on. From any thread; said once in the log.
  void refuse_direct() const;

  /// The range, mapped, if all of it is in the page cache; empty if a part is not or the kernel does not tell, as for a
  /// file that is not ours to write. Whoever uses it calls release() afterwards.
  std::span<const std::uint8_t> cached(std::uint64_t offset, std::size_t bytes) const;
  /// Copies the range, if cached() has it. False: it has not.
  bool copy_cached(std::uint64_t offset, std::size_t bytes, std::uint8_t* into) const;
  /// Takes the pages of cached() off this process.
  void release(std::span<const std::uint8_t> range) const;
  /// Gives back the page cache that a plain read of the range filled.
  void forget(std::uint64_t offset, std::size_t bytes) const;

 private:
  MappedFile plain_;
  UniqueFd direct_;
  bool knows_cache_ = false;
  mutable std::atomic<bool> refused_{false};
};

}  // namespace reef::io
