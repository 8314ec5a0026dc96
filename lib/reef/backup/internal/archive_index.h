#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/backup/internal/tar_record.h"

namespace reef::backup::internal {

struct FrameInfo {
  std::uint32_t stored = 0;    ///< bytes of the frame
  std::uint32_t content = 0;   ///< bytes of the tar archive in it
  std::uint32_t checksum = 0;  ///< of these: the lower half of their XXH64
  std::uint64_t xxh3 = 0;      ///< of the frame
  friend bool operator==(const FrameInfo&, const FrameInfo&) = default;
};

struct IndexedEntry {
  TarEntry tar;
  Counts counts;
};

/// What an archive holds, and where. It stands behind the frames of the tar archive, in a frame of its own that other
/// programs skip:
///
///   u32 magic 0x184D2A5D, u32 bytes that follow, "RFAX", u32 version (1), u64 raw bytes, u64 xxh3 of the rest, the
///   rest
///
/// The rest is a zstd frame of: u64 count of frames, and u32 stored, u32 content, u32 checksum, u64 xxh3 of each; u64
/// count of entries, and of each u8 type (0 file, 1 folder, 2 link, 3 file with holes, 4 hard link), u32 mode, u32 uid,
/// u32 gid, i64 modified_ns, u64 size, u64 header, u64 data, text path, text link_target or same_file_as; for type 3
/// u32 count and u64 offset, u64 length of each extent; u32 count of counts, text name and u64 value of each. A text is
/// u32 bytes, and they. All little-endian.
struct ArchiveIndex {
  std::vector<FrameInfo> frames;
  std::vector<IndexedEntry> entries;
};

inline constexpr std::uint32_t kIndexVersion = 1;
inline constexpr std::size_t kIndexHeaderBytes = 32;

/// Gathers entries in the form in which they are written: some 70 bytes each, and the path.
class IndexBuilder {
 public:
  void add(const TarEntry& tar, const Counts& counts);
  std::uint64_t entries() const { return entries_; }
  /// The frame that is skipped.
  std::string finish(const std::vector<FrameInfo>& frames) const;

 private:
  std::string bytes_;
  std::uint64_t entries_ = 0;
};

/// Whether it begins as such a frame does; `bytes` are at least 8.
bool is_index_frame(std::string_view bytes);
/// Reads a whole one. Throws Error{corrupt}, with `name` in front, for bytes that are none, and for an index that does
/// not hold together: offsets that lie outside of the archive, paths outside of the tree, that come twice or lie below
/// a link, hard links to no file before them.
ArchiveIndex parse_index(std::string_view frame, const std::string& name);
/// The rules for paths, of entries in their order. Throws Error{corrupt}.
void check_entries(const std::vector<IndexedEntry>& entries, const std::string& name);

/// The last frame, which programs skip that do not know zstd's seekable format: where each frame lies and the checksum
/// of its content, the index's frame of no content included.
std::string seek_table(const std::vector<FrameInfo>& frames, std::size_t index_bytes);
/// The bytes of a seek table, read off its last nine; nullopt where they are none.
inline constexpr std::size_t kSeekFooterBytes = 9;
std::optional<std::size_t> seek_table_bytes(std::string_view footer);
/// The frames of a whole one, the last being the index; nullopt where it is none.
std::optional<std::vector<FrameInfo>> parse_seek_table(std::string_view table);

}  // namespace reef::backup::internal
