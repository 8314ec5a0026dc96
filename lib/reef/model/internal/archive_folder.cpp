#include "reef/model/internal/archive_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/archived.h"
#include "reef/tree/archive_folder.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

bool is_inside(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

}  // namespace

fs::path archive_folder(const tree::Tree& tree, const tree::Config& config) {
  const fs::path folder = tree::archive_folder(tree, config);
  if (is_inside(fs::weakly_canonical(folder / "models"), fs::weakly_canonical(tree.models())))
    throw Error(Errc::usage, fmt::format("the archive {} would be inside the tree's models", io::shown(folder)),
                "name a folder on another drive in storage.archive of system.yaml");
  // A drive that is not mounted leaves an empty folder in its place.
  for (const ArchivedModel& earlier : list_archived(tree)) {
    if (!earlier.fault.empty() || !is_inside(earlier.place, folder / "models") || fs::exists(earlier.place)) continue;
    throw Error(Errc::not_found,
                fmt::format("{}, which was archived there, is not in the archive", io::shown(earlier.place)),
                fmt::format("mount its drive; if the copy is gone for good, remove {}", io::shown(earlier.record)));
  }
  return folder;
}

std::optional<fs::path> place_in_archive(const tree::Tree& tree, const tree::Config& config, const ModelName& name) {
  const std::string text = config.text("system", "storage.archive");
  if (text.empty()) return std::nullopt;
  for (const Kind kind : kAllKinds) {
    if (name.kind && *name.kind != kind) continue;
    fs::path place = (tree.root() / text / "models" / kind_folder(kind) / name.name).lexically_normal();
    std::error_code error;
    if (fs::is_regular_file(place / kManifestFile, error)) return place;
  }
  return std::nullopt;
}

void remove_folder(const fs::path& folder) {
  const fs::path aside = io::temporary_name(folder);
  if (::rename(folder.c_str(), aside.c_str()) != 0) throw_errno("rename", io::shown(folder));
  io::sync_directory(folder.parent_path());
  fs::remove_all(aside);
}

}  // namespace reef::model::internal
