#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/backup/snapshot_store.h"

namespace reef::backup {

struct TargetOptions {
  bool replace = false;  ///< what is there in the place of a file or link, folders excepted, is replaced
  unsigned threads = 1;  ///< that read and write one large file
  /// Writes all of a file's content into an empty file, in the place of what does so here: to take a digest of it.
  std::function<void(const Content& content, int fd, const fs::path& shown)> write{};
};

struct TargetReport {
  std::uint64_t files = 0;  ///< hard links among them
  std::uint64_t folders = 0;
  std::uint64_t links = 0;
  std::uint64_t bytes = 0;         ///< of content, holes and zeros included
  std::uint64_t links_copied = 0;  ///< hard links that the filesystem refused: files of their own
};

/// Writes entries beneath a folder, which is made when it is not there (the one above it must be).
///
/// A path is followed from the folder down without a symbolic link on the way, and has no "..": whatever a snapshot
/// holds, nothing outside the folder is written. Names are bytes, UTF-8 or not. Holes and long runs of zeros become
/// holes. Owners are set as root, else where the system allows it; where it does not, set-user-id and set-group-id
/// bits are left out. Folders get their times and modes with finish(), those that were there before keep theirs.
///
/// In a folder that it made itself, a file is written in place: until finish() returns the folder is good for nothing.
/// In one that was there, each appears under its name complete.
///
/// Throws Error{usage} for a file or link where something is already (see `replace`), or a folder where something else
/// is; Error{corrupt} for a path that no snapshot of a tree can hold, or whose folder was not put before; and what
/// reading and writing throws.
class TargetFolder : public Sink {
 public:
  explicit TargetFolder(const fs::path& folder, TargetOptions options = {});
  ~TargetFolder() override;
  TargetFolder(const TargetFolder&) = delete;
  TargetFolder& operator=(const TargetFolder&) = delete;

  void put(const Entry& entry, Content* content) override;
  /// Takes a file over from a folder of the same filesystem: as a hard link to what has that name there. False, and
  /// nothing is done, where the filesystem refuses; errno says why.
  bool link(const Entry& entry, int folder, const std::string& name);
  /// Makes all of it durable. Nothing may be put afterwards.
  TargetReport finish();

  /// Whether the folder was made by this object.
  bool is_new() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reef::backup
