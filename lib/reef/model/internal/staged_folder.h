#pragma once

#include <cstdint>
#include <filesystem>

namespace reef::model::internal {

/// Throws Error{failed} where the filesystem of `folder` has no room for one more model of so many bytes.
void require_space(const std::filesystem::path& folder, std::uint64_t bytes);

/// A folder that is being filled: removed with its content unless it was published.
class StagedFolder {
 public:
  /// Creates `path`, which must not exist, for its owner and group only.
  explicit StagedFolder(std::filesystem::path path);
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;
  ~StagedFolder();

  const std::filesystem::path& path() const { return path_; }

  /// Makes every folder inside durable, then renames it to `target` (same filesystem), durably.
  /// What was there is exchanged for it in one step and then removed; where the filesystem cannot
  /// exchange (NFS), it is moved aside first, and after a kill in between restore_replaced() puts it back.
  void publish(const std::filesystem::path& target);

 private:
  void replace(const std::filesystem::path& target);

  std::filesystem::path path_;
  bool published_ = false;
};

/// In a folder of models: puts back what a killed publish() had moved aside, or removes it where the new one is in its
/// place. The caller holds the lock of models/.
void restore_replaced(const std::filesystem::path& folder);

}  // namespace reef::model::internal
