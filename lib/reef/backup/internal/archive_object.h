#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "reef/backup/archive_reader.h"
#include "reef/backup/archives.h"
#include "reef/backup/internal/archive_description.h"
#include "reef/backup/internal/file_content.h"

namespace reef::backup::internal {

/// Ranges of an object that is far away.
class ObjectSource : public ArchiveSource {
 public:
  ObjectSource(io::ObjectStore& store, const std::string& key);

  std::uint64_t size_bytes() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override;
  const std::string& name() const override { return name_; }

 private:
  io::ObjectStore& store_;
  std::string key_;
  std::string name_;
  std::uint64_t size_ = 0;
  mutable std::mutex mutex_;
};

/// An archive that can be read, wherever it lies and whether encrypted or not.
class OpenArchive {
 public:
  /// `is_whole`: all of it will be read, so that of one far away a copy is brought first. Throws Error{corrupt} where
  /// it is missing or cannot be decrypted, Error{usage} where there is no identity for an encrypted one.
  OpenArchive(const ArchivesOptions& options, io::ObjectStore& store, const ArchiveDescription& description,
              bool is_whole, Progress& progress);

  const ArchiveReader& reader() const { return *reader_; }
  /// Why it cannot be read to its end, beside what the reader finds; empty: it can.
  const std::string& fault() const { return fault_; }

 private:
  io::UniqueFd fd_;
  std::string fault_;
  std::unique_ptr<ArchiveSource> source_;
  std::unique_ptr<ArchiveReader> reader_;
};

/// A file of a model, to be read and compared with its digest. Throws Error{corrupt} where it is missing.
class OpenModel {
 public:
  OpenModel(const ArchivesOptions& options, io::ObjectStore& store, const ModelFile& model, Progress& progress);
  ~OpenModel();
  OpenModel(const OpenModel&) = delete;
  OpenModel& operator=(const OpenModel&) = delete;

  Content& content() { return *content_; }
  bool has_failed() const { return !content_->fault().empty(); }

 private:
  fs::path brought_;  ///< to be removed
  io::UniqueFd folder_;
  std::unique_ptr<FileContent> content_;
};

}  // namespace reef::backup::internal
