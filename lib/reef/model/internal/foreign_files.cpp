#include "reef/model/internal/foreign_files.h"

#include <algorithm>
#include <set>

#include "reef/io/file.h"

namespace reef::model::internal {

namespace fs = std::filesystem;

std::vector<std::string> foreign_files(const fs::path& folder, const Manifest& manifest) {
  std::set<std::string> known;
  for (const ManifestFile& file : manifest.files) known.insert(file.path);
  std::vector<std::string> foreign;
  for (const auto& found : fs::recursive_directory_iterator(folder)) {
    if (found.is_directory()) continue;
    std::string path = found.path().lexically_relative(folder).string();
    // A manifest whose writing was killed is no part of the model; the next one removes it.
    const bool is_ours = is_record_file(path) || io::is_temporary_name(path);
    if (!known.contains(path) && !is_ours) foreign.push_back(std::move(path));
  }
  std::sort(foreign.begin(), foreign.end());
  return foreign;
}

}  // namespace reef::model::internal
