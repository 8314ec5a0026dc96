#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/backup/internal/tar_sparse.h"

namespace reef::backup::internal {

/// Whether it names something in a tree: relative, no part empty, "." or "..", no byte of zero. Not the tree itself.
bool is_inner_path(std::string_view path);

/// Appends the headers of an entry as POSIX's pax format has them, whole blocks: names of any length and bytes, sizes
/// and owners of any size, times to the nanosecond, owners by number alone. `extents` are those of a file with holes;
/// its map and content follow.
void append_tar_headers(std::string& out, const Entry& entry, const std::vector<Extent>& extents);

/// The two blocks of zeros that end an archive.
inline constexpr std::uint64_t kTarEndBytes = 2 * kTarBlock;

/// An entry, and where it lies in a tar archive.
struct TarEntry {
  Entry entry;
  std::uint64_t header = 0;     ///< where its headers begin
  std::uint64_t data = 0;       ///< where its content begins, after the map of one with holes
  std::vector<Extent> extents;  ///< of a file with holes
  std::uint64_t stored() const { return extents.empty() ? entry.size_bytes : stored_bytes(extents); }
};

/// Reads the entries of an archive that append_tar_headers() wrote, one after the other, hopping over contents.
class TarScanner {
 public:
  /// `name` is for messages.
  TarScanner(ReadTar read, std::uint64_t archive_bytes, std::string name)
      : read_(std::move(read)), bytes_(archive_bytes), name_(std::move(name)) {}

  /// nullopt at the blocks of zeros that end the archive, past which nothing may stand. Throws Error{corrupt} for
  /// anything else that is no entry, and whatever `read` does; stays where it is then.
  std::optional<TarEntry> next();
  /// The next entry's headers.
  std::uint64_t position() const { return at_; }
  void move_to(std::uint64_t header) { at_ = header; }

 private:
  struct Header;
  struct Extended;
  Header read_header(std::uint64_t offset) const;
  void read_extended(const Header& header, std::uint64_t offset, Extended& into) const;
  TarEntry entry_of(const Header& header, const Extended& extended, std::uint64_t content) const;
  bool is_end() const;
  [[noreturn]] void refuse(std::uint64_t offset, std::string_view what) const;

  ReadTar read_;
  std::uint64_t bytes_;
  std::string name_;
  std::uint64_t at_ = 0;
};

}  // namespace reef::backup::internal
