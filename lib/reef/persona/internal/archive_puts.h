#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "reef/backup/entry.h"

namespace reef::persona::internal {

namespace fs = std::filesystem;

/// Puts files and folders into an archive under names of its own.
class ArchivePuts {
 public:
  explicit ArchivePuts(backup::Sink& sink) : sink_(sink) {}

  /// The folders above `path` are put as well, once.
  void put_text(const std::string& path, std::string_view text);
  void put_file(const std::string& path, const fs::path& file);
  /// A database that may be written to meanwhile, as of one commit.
  void put_database(const std::string& path, const fs::path& file);
  /// All of a folder, or of what a link of that name leads to; nothing where there is none. Locks, logs of databases
  /// and files of runs that were ended are left out, a database is put as put_database() does, and what has two names
  /// there has two in the archive.
  void put_folder(const std::string& path, const fs::path& folder);

  std::uint64_t files() const { return files_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void put_folders_above(const std::string& path);
  void put_content(backup::Entry entry, backup::Content& content);

  backup::Sink& sink_;
  std::set<std::string> folders_;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;
  std::uint64_t files_ = 0, bytes_ = 0;
};

}  // namespace reef::persona::internal
