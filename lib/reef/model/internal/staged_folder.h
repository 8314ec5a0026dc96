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
  /// exchange (NFS), it is moved aside first, and a kill in between leaves only that.
  void publish(const std::filesystem::path& target);

 private:
  void replace(const std::filesystem::path& target);

  std::filesystem::path path_;
  bool published_ = false;
};

}  // namespace reef::model::internal
