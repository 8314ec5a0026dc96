#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "reef/backup/entry.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/unique_handle.h"

namespace reef::backup::internal {

/// What a snapshot's plain file holds, checked while somebody reads it: finish() throws Error{corrupt} where it is not
/// what the list says. Large files are hashed by a thread of their own, from the page cache that the reader fills, so
/// that copies within the kernel are checked too.
class FileContent : public Content {
 public:
  /// `folder` and `name` as for openat(2), no symbolic link; `shown` stands in messages. Throws Error{corrupt} where
  /// the file is missing, no plain one, or of another size.
  FileContent(int folder, const std::string& name, const std::filesystem::path& shown, std::uint64_t size,
              const io::Sha256Digest& digest, Counts counts);
  ~FileContent() override;

  std::uint64_t size_bytes() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override;
  std::uint64_t next_data(std::uint64_t offset) const override;
  int descriptor() const override { return fd_.get(); }
  Counts finish() override;

  /// What was found wrong with the file, after read() or finish() threw; empty where the fault was not its own.
  const std::string& fault() const { return fault_; }

 private:
  class Check;
  void note(const Error& error) const;

  io::UniqueFd fd_;
  std::filesystem::path shown_;
  std::uint64_t size_;
  io::Sha256Digest digest_;
  Counts counts_;
  std::unique_ptr<Check> check_;
  mutable std::mutex mutex_;
  mutable std::string fault_;
};

/// The digest of what a file holds from its first byte on.
io::Sha256Digest digest_of_file(int fd, std::uint64_t size, const std::filesystem::path& shown,
                                const std::function<void(std::uint64_t)>& on_bytes = {});

}  // namespace reef::backup::internal
