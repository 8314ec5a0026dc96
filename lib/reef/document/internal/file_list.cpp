#include "reef/document/internal/file_list.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/file.h"

namespace reef::document::internal {
namespace {

namespace fs = std::filesystem;

class Lister {
 public:
  Lister(InputFiles& into, std::vector<IngestFault>& faults) : into_(into), faults_(faults) {}

  void add(const fs::path& path, bool named) {
    check_interrupt();
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
      if (named) throw_errno("read", io::shown(path));
      return fault(path, std::generic_category().message(errno), "");
    }
    if (S_ISDIR(info.st_mode)) return add_folder(path, named);
    if (!S_ISREG(info.st_mode)) return fault(path, "not a regular file", "only files and folders can be taken in");
    if (!is_valid_utf8(path.native()))
      return fault(path, "its name is not UTF-8", "rename the file: ids and citations are UTF-8");
    into_.files.push_back({path, path.native(), static_cast<std::uint64_t>(info.st_size)});
  }

 private:
  void add_folder(const fs::path& folder, bool named) {
    if (named) into_.folders.push_back(folder.native());
    std::vector<fs::directory_entry> entries;
    try {
      for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().filename().native()[0] != '.') entries.push_back(entry);
    } catch (const fs::filesystem_error& error) {
      return fault(folder, error.code().message(), "");
    }
    std::sort(entries.begin(), entries.end());
    for (const auto& entry : entries) {
      std::error_code ignored;
      // A link to a folder may lead in a circle, or out of what was named.
      if (entry.is_symlink(ignored) && entry.is_directory(ignored)) continue;
      add(entry.path(), false);
    }
  }

  void fault(const fs::path& path, std::string reason, std::string hint) {
    faults_.push_back({io::shown(path), 0, std::move(reason), std::move(hint)});
  }

  InputFiles& into_;
  std::vector<IngestFault>& faults_;
};

}  // namespace

InputFiles list_files(const std::vector<std::string>& paths, std::vector<IngestFault>& faults) {
  InputFiles result;
  Lister lister(result, faults);
  for (const std::string& path : paths) {
    if (path.empty()) throw Error(Errc::usage, "an operand is empty", "name files, folders or -");
    if (path == "-") continue;  // read by the caller
    fs::path absolute = fs::absolute(path).lexically_normal();
    if (!absolute.has_filename()) absolute = absolute.parent_path();  // "docs/"
    lister.add(absolute, true);
  }
  // A file that was named twice, or alone and within its folder, is taken once.
  std::stable_sort(result.files.begin(), result.files.end(),
                   [](const auto& a, const auto& b) { return a.source < b.source; });
  result.files.erase(std::unique(result.files.begin(), result.files.end(),
                                 [](const auto& a, const auto& b) { return a.source == b.source; }),
                     result.files.end());
  return result;
}

}  // namespace reef::document::internal
