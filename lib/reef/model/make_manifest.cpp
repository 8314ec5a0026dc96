#include "reef/model/make_manifest.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/time.h"
#include "reef/io/file.h"
#include "reef/model/internal/digest_files.h"
#include "reef/model/internal/source.h"
#include "reef/model/internal/staging.h"
#include "reef/model/library.h"
#include "reef/model/signature.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

/// What the folder holds, without digests.
Manifest describe_folder(const fs::path& folder) {
  Manifest manifest;
  manifest.name = folder.filename();
  const std::string parent = folder.parent_path().filename();
  for (const Kind kind : kAllKinds)
    if (kind_folder(kind) == parent) manifest.kind = kind;
  manifest.licence = internal::find_licence(folder);
  manifest.created = to_rfc3339(now());
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    std::string path = entry.path().lexically_relative(folder).string();
    if (entry.is_directory() || is_record_file(path)) continue;
    if (!entry.is_regular_file())
      throw Error(Errc::usage, fmt::format("{} is no regular file", io::shown(entry.path())), "remove it first");
    ManifestFile& file = manifest.files.emplace_back();
    file.path = std::move(path);
    file.bytes = entry.file_size();
  }
  std::sort(manifest.files.begin(), manifest.files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return manifest;
}

std::vector<std::string> paths_of(const Manifest& manifest) {
  std::vector<std::string> paths;
  for (const ManifestFile& file : manifest.files) paths.push_back(file.path);
  return paths;
}

/// Throws unless the folder holds what `present` says.
void compare(const Manifest& present, const Manifest& found, const fs::path& folder) {
  const auto fail = [&](const std::string& path, const std::string& what) {
    throw Error(Errc::corrupt, fmt::format("{}: {}", io::shown(folder / path), what),
                "if that is meant to be, write a manifest of what is there now with --force");
  };
  for (const ManifestFile& file : present.files) {
    const ManifestFile* now = found.find(file.path);
    if (now == nullptr) fail(file.path, "is missing, the manifest lists it");
    if (!now->has_content_of(file))
      fail(file.path, fmt::format("sha256 is {}, manifest says {}", now->sha256, file.sha256));
  }
  for (const ManifestFile& file : found.files) {
    if (present.find(file.path) == nullptr) fail(file.path, "is not in the manifest");
  }
}

void remove_signature(const fs::path& folder) {
  const fs::path path = folder / kSignatureFile;
  if (!fs::remove(path)) return;
  io::sync_directory(folder);
  log_warn("{} is removed, for it signs another manifest; sign again with 'reef-model manifest sign'", io::shown(path));
}

}  // namespace

MadeManifest make_manifest(const tree::Tree& tree, const ManifestOptions& options, Progress& progress) {
  const fs::path folder = find_model_folder(tree, options.name);
  const io::LockFile lock = internal::lock_models(tree, options.wait);
  io::remove_stale(folder);
  std::optional<Manifest> present;
  try {
    present = read_manifest(folder);
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt || !options.force) throw;
  }
  MadeManifest made{folder, describe_folder(folder), false};
  if (present) {
    made.manifest.kind = present->kind;
    made.manifest.source = present->source;
    made.manifest.licence = present->licence;
    made.manifest.persona = present->persona;
    made.manifest.created = present->created;
  }
  const std::vector<WeightFile> weights = read_weights(folder, paths_of(made.manifest));
  const std::vector<ChunkDigests> chunks =
      internal::digest_files(folder, made.manifest, weights, options.with_tensors, options.threads, progress);
  if (present && !options.force) compare(*present, made.manifest, folder);
  if (present && !options.with_tensors) {  // those that it has are still right
    for (ManifestFile& file : made.manifest.files) {
      const ManifestFile* before = present->find(file.path);
      if (before != nullptr && before->has_content_of(file)) file.tensors = before->tensors;
    }
  }
  const std::string text = manifest_text(made.manifest), table = chunk_table(chunks);
  const auto holds = [&](std::string_view name, const std::string& wanted) {
    const fs::path path = folder / name;
    return fs::exists(path) && fs::file_size(path) == wanted.size() && io::read_file(path) == wanted;
  };
  if (holds(kManifestFile, text) && holds(kChunksFile, table)) return made;
  made.has_changed = true;
  // A kill between the two leaves chunk digests that the manifest does not know: verify says so, a second run mends it.
  io::replace_file(folder / kChunksFile, table);
  if (holds(kManifestFile, text)) return made;
  io::replace_file(folder / kManifestFile, text);
  remove_signature(folder);
  return made;
}

SignedManifest sign_manifest(const tree::Tree& tree, const std::string& name, const fs::path& key,
                             std::chrono::milliseconds wait) {
  const SigningKey signing = SigningKey::read_private(key);
  const Installed model = find_model(tree, name);
  const io::LockFile lock = internal::lock_models(tree, wait);
  io::remove_stale(model.folder);
  SignedManifest made{model.manifest.name, model.folder / kSignatureFile, false};
  const std::string signature = signing.sign(io::read_file(model.folder / kManifestFile, kMaxManifestBytes));
  if (fs::exists(made.signature) && io::read_file(made.signature, 1 << 20) == signature) return made;
  io::replace_file(made.signature, signature);
  made.has_changed = true;
  return made;
}

}  // namespace reef::model
