#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/backup/snapshot_store.h"
#include "reef/core/progress.h"

namespace reef::backup {

/// The bytes of an archive, wherever they lie.
class ArchiveSource {
 public:
  virtual ~ArchiveSource() = default;
  virtual std::uint64_t size_bytes() const = 0;
  /// All of it lies within size_bytes(). From any thread. Throws Error{failed}, Error{corrupt} where it ends before.
  virtual void read(std::uint64_t offset, std::span<std::uint8_t> into) const = 0;
  /// For messages.
  virtual const std::string& name() const = 0;
};

/// Of a regular file, which stays the caller's and open.
class FileSource : public ArchiveSource {
 public:
  FileSource(int fd, const std::filesystem::path& path);

  std::uint64_t size_bytes() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override;
  const std::string& name() const override { return name_; }

 private:
  int fd_;
  std::filesystem::path path_;
  std::string name_;
  std::uint64_t size_ = 0;
};

/// A part of an archive that is damaged or missing.
struct ArchiveFault {
  std::uint64_t begin = 0;         ///< byte of the archive
  std::uint64_t end = 0;           ///< one past the last one
  std::string what;                ///< "frame 3 of 12, bytes 8388608-9000000: Data corruption detected"
  std::vector<std::string> paths;  ///< that cannot be restored whole, at most 100
};

/// Reads archives of ArchiveWriter's. One that is damaged gives all that its sound frames hold: by the index, or where
/// that is damaged by the headers of the tar archive. Nothing in it is taken on trust: paths that lead out of the tree
/// or through a link, files that come twice, and sizes that are not there are Error{corrupt}.
class ArchiveReader {
 public:
  /// Reads the tables. `source` must outlive it. `threads`: 0: all cores. Throws Error{corrupt} for what is no archive.
  explicit ArchiveReader(const ArchiveSource& source, unsigned threads = 0);
  ~ArchiveReader();

  /// As they were put; of a damaged archive without an index, those that were found.
  std::vector<std::pair<Entry, Counts>> entries() const;

  /// As SnapshotStore::read(). What is missing beyond any name is told as path "".
  void read(const Selection& selection, Sink& sink, Progress& progress,
            const std::function<void(const std::string& path, const std::string& what)>& on_damage = {}) const;

  /// Reads `sample` of the frames, 1: all, chosen anew each time, and compares every byte with its checksum; of all
  /// frames, also every header with the index. Adds what it reads to `bytes`.
  std::vector<ArchiveFault> verify(double sample, Progress& progress, std::uint64_t& bytes) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace reef::backup
