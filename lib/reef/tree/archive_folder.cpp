#include "reef/tree/archive_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::tree {

std::filesystem::path archive_folder(const Tree& tree, const Config& config) {
  const std::string text = config.text("system", "storage.archive");
  if (text.empty())
    throw Error(Errc::usage, "storage.archive in system.yaml names no folder", "name one on another drive");
  std::filesystem::path folder = (tree.root() / text).lexically_normal();
  if (!std::filesystem::is_directory(folder))
    throw Error(Errc::not_found, fmt::format("the archive {} is not there", io::shown(folder)),
                "mount its drive, or make the folder; storage.archive in system.yaml names it");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) throw_errno("write to the archive", io::shown(folder));
  return folder;
}

}  // namespace reef::tree
