#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "reef/io/unique_handle.h"

namespace reef::io {

/// A whole file mapped read-only. Moves; the bytes stay where they are.
///
/// The mapping is shared: a file that another process truncates raises SIGBUS on access, which is
/// why reef only ever replaces mapped files by rename and appends to them.
class MappedFile {
 public:
  MappedFile() = default;
  /// Throws Error{not_found} when there is no such file, Error{failed} when it cannot be mapped.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::uint8_t> bytes() const { return {data_, size_}; }
  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

  /// Asks the kernel to read the range ahead without waiting (posix_fadvise WILLNEED): overlaps
  /// reading with other work on a cold cache, costs microseconds on a warm one.
  void read_ahead(std::size_t offset, std::size_t count) const;
  /// Reads a range that is not in memory and waits for it, in pages of 2 MiB where the filesystem has
  /// them (MADV_HUGEPAGE): ahead of use, read_ahead() leaves 4 KiB pages, of which 12 MB cost each
  /// later process 1.8 ms to enter and leave. Costs three system calls when all is in memory. Without
  /// `stays_mapped` the pages do not count as this process's memory afterwards.
  void load(std::size_t offset, std::size_t count, bool stays_mapped = true) const;
  /// Throws the file out of memory, then load()s the range: for a file just written, whose pages are
  /// as small as the writes were. The file must be synced, or its dirty pages stay.
  void load_again(std::size_t offset, std::size_t count) const;
  /// Rows of the range are read far apart: the kernel must not read around them (MADV_RANDOM).
  void advise_random(std::size_t offset, std::size_t count) const;

 private:
  bool looks_cached(std::size_t offset, std::size_t count) const;

  UniqueFd fd_;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::string path_;
};

}  // namespace reef::io
