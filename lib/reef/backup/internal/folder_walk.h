#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reef/io/unique_handle.h"

namespace reef::backup::internal {

/// The names of an entry's path; nullopt for one that no tree can have, or that could lead out of it.
std::optional<std::vector<std::string>> names_of(const std::string& path);

/// Follows paths from one folder down without a symbolic link on the way, and keeps the folders on the way to the last
/// one open for the next.
class FolderWalk {
 public:
  explicit FolderWalk(io::UniqueFd root) : root_(std::move(root)) {}

  int root() const { return root_.get(); }
  /// The folder that the last of `names` lies in, good until the next call; -1 and errno where there is none.
  int parent_of(const std::vector<std::string>& names);
  /// Closes all but the root.
  void forget() { open_.clear(); }

 private:
  struct OpenFolder {
    std::string name;
    io::UniqueFd fd;
  };
  int top() const { return open_.empty() ? root_.get() : open_.back().fd.get(); }

  io::UniqueFd root_;
  std::vector<OpenFolder> open_;  ///< from the root's child down to the folder of the last entry
};

}  // namespace reef::backup::internal
