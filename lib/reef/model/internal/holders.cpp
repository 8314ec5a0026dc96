#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <fstream>

#include "reef/model/internal/model_cache.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

bool has_open(const fs::path& process, const struct stat& file) {
  std::error_code error;
  for (fs::directory_iterator it(process / "fd", error), end; !error && it != end; it.increment(error)) {
    struct stat status {};
    if (::stat(it->path().c_str(), &status) == 0 && status.st_dev == file.st_dev && status.st_ino == file.st_ino)
      return true;
  }
  return false;
}

bool has_mapped(const fs::path& process, const struct stat& file) {
  std::ifstream maps(process / "maps");
  // "7f…-7f… r--s 00000000 00:2a 1234   /path": device and inode of every mapping.
  const std::string wanted = fmt::format(" {:02x}:{:02x} {} ", major(file.st_dev), minor(file.st_dev), file.st_ino);
  for (std::string line; std::getline(maps, line);)
    if ((line + " ").find(wanted) != std::string::npos) return true;
  return false;
}

}  // namespace

std::vector<std::string> holders_of(const fs::path& file) {
  std::vector<std::string> holders;
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return holders;
  std::error_code error;
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    const std::string pid = it->path().filename();
    if (!is_number(pid) || !(has_open(it->path(), status) || has_mapped(it->path(), status))) continue;
    std::string name;
    std::getline(std::ifstream(it->path() / "comm"), name);
    holders.push_back(fmt::format("{} ({})", name, pid));
  }
  std::sort(holders.begin(), holders.end());
  return holders;
}

bool is_shown_elsewhere(const fs::path& file) {
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0 || status.st_nlink != 1) return true;
  // "36 35 0:42 /.loading-… /model.safetensors rw": device and root of each mount, of all namespaces that /proc shows.
  const std::string device = fmt::format(" {}:{} ", major(status.st_dev), minor(status.st_dev));
  const std::string name = "/" + file.filename().string();
  std::error_code error;
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    if (!is_number(it->path().filename())) continue;
    std::ifstream mounts(it->path() / "mountinfo");
    for (std::string line; std::getline(mounts, line);) {
      const std::size_t at = line.find(device);
      if (at == std::string::npos) continue;
      const std::size_t begin = at + device.size();
      if (line.substr(begin, line.find(' ', begin) - begin).ends_with(name)) return true;
    }
  }
  return false;
}

std::string in_use_text(const fs::path& file) {
  const std::vector<std::string> holders = holders_of(file);
  return holders.empty() ? "is in use" : fmt::format("is in use by {}", fmt::join(holders, ", "));
}

}  // namespace reef::model::internal
