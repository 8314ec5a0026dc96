#include "reef/backup/internal/folder_walk.h"

#include <fcntl.h>

#include <algorithm>

namespace reef::backup::internal {

std::optional<std::vector<std::string>> names_of(const std::string& path) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    std::string name = path.substr(begin, end - begin);
    if (name.empty() || name == "." || name == ".." || name.find('\0') != std::string::npos) return std::nullopt;
    names.push_back(std::move(name));
    begin = end + 1;
  }
  return names;
}

int FolderWalk::parent_of(const std::vector<std::string>& names) {
  std::size_t depth = 0;
  while (depth + 1 < names.size() && depth < open_.size() && open_[depth].name == names[depth]) ++depth;
  open_.resize(depth);
  for (; depth + 1 < names.size(); ++depth) {
    io::UniqueFd fd(::openat(top(), names[depth].c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return -1;
    open_.push_back({names[depth], std::move(fd)});
  }
  return top();
}

}  // namespace reef::backup::internal
