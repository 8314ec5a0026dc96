#include "reef/model/internal/installed_state.h"

#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model::internal {

namespace fs = std::filesystem;

ModelName parse_model_name(const std::string& text) {
  ModelName name;
  const std::size_t slash = text.find('/');
  name.name = slash == std::string::npos ? text : text.substr(slash + 1);
  for (const Kind kind : kAllKinds)
    if (slash != std::string::npos && text.substr(0, slash) == kind_folder(kind)) name.kind = kind;
  if (!is_model_name(name.name) || (slash != std::string::npos && !name.kind)) {
    throw Error(Errc::usage, fmt::format("'{}' cannot be a model's name", legible(text)),
                "it has letters, digits, '.', '_' and '-', a letter or digit first");
  }
  return name;
}

std::optional<fs::path> present_folder(const tree::Tree& tree, const ModelName& name) {
  for (const Kind kind : kAllKinds) {
    if (name.kind && *name.kind != kind) continue;
    fs::path folder = tree.models(kind_folder(kind)) / name.name;
    if (fs::is_directory(folder)) return folder;
  }
  return std::nullopt;
}

std::string visible_fault(const fs::path& folder, Manifest& manifest) {
  try {
    auto found = read_manifest(folder);
    if (!found) return fmt::format("{}: there is no {}", io::shown(folder), kManifestFile);
    manifest = std::move(*found);
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    return error.what();
  }
  for (const ManifestFile& file : manifest.files) {
    const fs::path path = folder / file.path;
    std::error_code error;
    if (!fs::is_regular_file(path, error)) return fmt::format("{} is missing", io::shown(path));
    const std::uint64_t bytes = fs::file_size(path, error);
    if (error || bytes != file.bytes)
      return fmt::format("{} has {} bytes, manifest says {}", io::shown(path), bytes, file.bytes);
  }
  return {};
}

}  // namespace reef::model::internal
