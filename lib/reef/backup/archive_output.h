#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "reef/io/checksum.h"

namespace reef::backup {

/// Where the bytes of an archive go, one after the other. One call at a time.
class ArchiveOutput {
 public:
  virtual ~ArchiveOutput() = default;
  virtual void write(std::span<const std::uint8_t> bytes) = 0;
  /// What is written from here on is taken back by rewind(), until release(); then none of it.
  virtual void mark() = 0;
  virtual void rewind() = 0;
  virtual void release() = 0;
  /// After the last byte; nothing is marked.
  virtual void finish() = 0;
  /// After finish(): what lies at the destination.
  virtual std::uint64_t size_bytes() const = 0;
  virtual io::Sha256Digest sha256() = 0;
};

/// An empty regular file, which stays the caller's: to be synced, named, closed.
class FileOutput : public ArchiveOutput {
 public:
  /// `path` is for messages.
  FileOutput(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}

  void write(std::span<const std::uint8_t> bytes) override;
  void mark() override;
  void rewind() override;
  void release() override {}
  void finish() override {}
  std::uint64_t size_bytes() const override { return size_; }
  io::Sha256Digest sha256() override { return io::Sha256(sha256_).finish(); }

 private:
  int fd_;
  std::filesystem::path path_;
  std::uint64_t size_ = 0;
  std::uint64_t started_ = 0;  ///< so much of it is on its way to the disk
  io::Sha256 sha256_;
  std::uint64_t marked_size_ = 0;
  io::Sha256 marked_sha256_;
};

}  // namespace reef::backup
