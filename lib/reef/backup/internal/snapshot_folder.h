#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/backup/internal/snapshot_file.h"

namespace reef::backup::internal {

/// The descriptions of snapshots in a repository, and what is known of them.
class SnapshotFolder {
 public:
  explicit SnapshotFolder(const fs::path& repository) : repository_(repository) {}

  fs::path folder() const { return repository_ / "snapshots"; }
  fs::path path_of(const std::string& id) const { return folder() / id; }
  static std::string name_of(const std::string& id) { return "snapshots/" + id; }

  /// Oldest first.
  std::vector<std::string> ids() const;
  bool has(const std::string& id) const;
  /// Throws Error{not_found} where there is none of that id, Error{corrupt}.
  SnapshotFile read(const std::string& id) const;
  /// Of all: what is known of one whose description is damaged comes from its name, and it is damaged.
  std::vector<Snapshot> list() const;

  /// Nothing where the file is damaged: verify() says so.
  Checks checks() const;
  fs::path checks_path() const { return repository_ / kChecksFile; }

 private:
  fs::path repository_;
};

}  // namespace reef::backup::internal
