#include "reef/io/sqlite_mode.h"

#include <unistd.h>

namespace reef::io {

OpenMode mode_to_look(const std::filesystem::path& database) {
  const std::filesystem::path folder = database.has_parent_path() ? database.parent_path() : ".";
  const bool may_write = ::access(database.c_str(), W_OK) == 0 && ::access(folder.c_str(), W_OK) == 0;
  return may_write ? OpenMode::write : OpenMode::read;
}

}  // namespace reef::io
