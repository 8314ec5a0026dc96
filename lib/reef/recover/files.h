#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/recover/source.h"

namespace reef::recover {

struct FilesOptions {
  std::vector<std::string> paths = {};  ///< relative to the tree, or absolute below its root; files or folders
  std::filesystem::path to = {};        ///< a folder, made when it is not there
  bool force = false;                   ///< files that are there are replaced
  bool dry_run = false;
  unsigned threads = 1;
};

struct FilesReport {
  int tier = 1;
  std::string destination;
  backup::Snapshot snapshot;
  std::string to;
  bool dry_run = false;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> paths;  ///< of a dry run: what would be written, folders left out
  struct Damage {
    std::string path;
    std::string what;
  };
  std::vector<Damage> damaged;  ///< could not be restored; nothing of them was written
};

/// Takes single files out of the first source that holds all of them, to where they lie in the tree beneath `to`. What
/// is damaged is left out and told. Throws Error{not_found} naming a path that no source holds, Error{usage} for a path
/// outside the tree and, unless forced, for a file that is there already.
FilesReport restore_files(const tree::Tree& tree, const std::vector<Source>& sources, const FilesOptions& options,
                          Progress& progress);

std::string to_text(const FilesReport& report);
std::string to_json(const FilesReport& report);

}  // namespace reef::recover
