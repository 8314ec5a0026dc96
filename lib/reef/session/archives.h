#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "reef/io/unique_handle.h"

namespace reef::session {

/// A session's id as the name of a folder or file: letters, digits, '-', '_' and '.' stand for themselves, every other
/// byte as %XX; so does the first one of a name that begins with '.' or like the database's own. Names beyond 160
/// characters are cut there and end in '~' and the SHA-256 of the id.
std::string file_name_of(std::string_view session);

/// The texts of archived messages, read where `sessions.archive_file` and `messages.archive_offset` say.
class Archives {
 public:
  /// Throws Error{not_found} when the file is not there (its drive is not mounted).
  void require(const std::filesystem::path& file);
  /// The line of the export file that begins at `offset`, without its end. Throws as require() does, and
  /// Error{corrupt} when no line begins there.
  std::string line(const std::filesystem::path& file, std::int64_t offset);
  /// The content of that line's message.
  std::string text(const std::filesystem::path& file, std::int64_t offset);

 private:
  io::UniqueFd fd_;
  std::filesystem::path open_;  ///< what fd_ is of
};

}  // namespace reef::session
