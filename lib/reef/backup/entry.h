#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace reef::backup {

enum class EntryType : std::uint8_t { file, folder, link };

/// One name in a tree, as a snapshot holds it: what lstat(2) tells, without what it holds.
struct Entry {
  std::string path;  ///< bytes, relative to the tree, '/' between, "" for the tree itself; need be no UTF-8
  EntryType type = EntryType::file;
  std::uint32_t mode = 0;  ///< the bits of 07777
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t modified_ns = 0;  ///< since the epoch
  std::uint64_t size_bytes = 0;  ///< of a file
  /// Of a link: as readlink(2) gives it. Of a folder: where the link led through which the tree reaches it, such as to
  /// a shard; empty for one that lies in the tree.
  std::string link_target;
  std::string same_file_as;  ///< the path of an earlier entry: a hard link to it, with no content of its own
  /// Two captures of a path that have the same state have the same content. Empty where nothing vouches for it, as
  /// within a clock tick of a change.
  std::string state;
};

/// Rows by table of a database, or {"rows", n} of a .npy file: what a restored copy is compared with.
using Counts = std::vector<std::pair<std::string, std::uint64_t>>;

/// What a file held at one moment, whoever writes to it meanwhile.
class Content {
 public:
  virtual ~Content() = default;
  virtual std::uint64_t size_bytes() const = 0;
  /// Fills `into` from `offset`; all of it lies within size_bytes(). From any thread. Throws Error{failed}.
  virtual void read(std::uint64_t offset, std::span<std::uint8_t> into) const = 0;
  /// The first offset from `offset` on whose byte need not be zero; size_bytes() where all are zero.
  virtual std::uint64_t next_data(std::uint64_t offset) const { return offset; }
  /// A descriptor of a file that holds these bytes and no others, for copies within the kernel; -1 where there is none.
  virtual int descriptor() const { return -1; }
  /// After the last read. Throws Changed when what was read may not be of one moment. Returns the rows.
  virtual Counts finish() { return {}; }
};

/// Thrown by Content::finish(): whoever reads forgets what it read of this entry, and throws it on.
struct Changed {};

/// Where the entries of a tree go: a folder's before those in it, a file's before its hard links.
class Sink {
 public:
  virtual ~Sink() = default;
  /// True where `entry` was taken over from an earlier snapshot that has it in this state; its content is then not
  /// opened at all.
  virtual bool keep(const Entry& /*entry*/) { return false; }
  /// Takes an entry; `content` is null for all but files with content of their own. When content.read() or finish()
  /// throws, the entry is as if it had never been put, and may be put again.
  virtual void put(const Entry& entry, Content* content) = 0;
};

}  // namespace reef::backup
