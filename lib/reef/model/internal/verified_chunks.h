#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "reef/core/time.h"

namespace reef::model::internal {

/// Which chunks of a model an interrupted run found sound, by file. A note in cache/: what cannot be read or does not
/// fit is as good as none, and what cannot be written is not.
class VerifiedChunks {
 public:
  VerifiedChunks() = default;
  /// `manifest_sha256`: of the text of manifest.json.
  VerifiedChunks(std::filesystem::path note, std::string manifest_sha256)
      : note_(std::move(note)), manifest_(std::move(manifest_sha256)) {}

  /// Takes over what a run of the last day left, for files that are the same since. True if there is any.
  bool load(const std::filesystem::path& folder);
  void save() const;
  void remove() const;

  /// One flag for each of the file's `count` chunks. `stamp` tells the file's state, see file_stamp().
  std::vector<char>& flags(const std::string& path, const std::string& stamp, std::size_t count);

 private:
  struct File {
    std::string stamp;
    std::vector<char> sound;
  };
  std::filesystem::path note_;
  std::string manifest_;
  Time since_{};  ///< when the first of the runs that went on with one another was noted
  std::map<std::string, File> files_;
};

/// Size, times and number of a file: others when its bytes were written to. Empty when there is no such file.
std::string file_stamp(const std::filesystem::path& path);
std::string file_stamp(int fd);

}  // namespace reef::model::internal
