#include "reef/model/archive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reef/core/time.h"
#include "reef/io/file.h"
#include "reef/io/lease.h"
#include "reef/model/archived.h"
#include "reef/model/internal/archive_folder.h"
#include "reef/model/internal/installed_state.h"
#include "reef/model/internal/model_cache.h"
#include "reef/model/internal/staging.h"
#include "reef/model/library.h"
#include "reef/tree/folders.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;
using internal::Staging;

void require_unused(const fs::path& file, const std::string& model) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return;
  const io::ExclusiveLease::State state = io::ExclusiveLease(file).state();
  if (state == io::ExclusiveLease::State::held) return;
  const auto holders = internal::holders_of(file);
  if (state == io::ExclusiveLease::State::unknown && holders.empty()) return;
  const std::string by = holders.empty() ? "" : fmt::format(" by {}", fmt::join(holders, ", "));
  throw Error(Errc::failed, fmt::format("{}: {} is in use{}", model, io::shown(file), by), "end that program first");
}

/// What is compared next comes from the drive, as far as the kernel lets it go.
void forget_pages(const fs::path& folder, const Manifest& manifest) {
  for (const ManifestFile& file : manifest.files) {
    const fs::path path = folder / file.path;
    std::error_code error;
    if (!fs::is_regular_file(path, error)) continue;
    ::posix_fadvise(io::open_file(path, O_RDONLY).get(), 0, 0, POSIX_FADV_DONTNEED);
  }
}

/// What a killed run or somebody else put there may be in memory alone.
void sync_copy(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory()) {
      io::sync_directory(entry.path());
    } else if (entry.is_regular_file()) {
      io::sync_file(io::open_file(entry.path(), O_RDONLY).get(), entry.path());
    }
  }
  fs::path at = folder;
  for (int up = 0; up < 4; ++up, at = at.parent_path()) io::sync_directory(at);  // ARCHIVE/models/KIND/NAME
}

class Archiver {
 public:
  Archiver(const tree::Tree& tree, const tree::Config& config, const ArchiveOptions& options, Progress& progress)
      : tree_(tree), config_(config), options_(options), progress_(progress) {}

  ArchivedNow run(const std::string& wanted) {
    out_ = {};
    out_.name = wanted;
    try {
      archive(wanted);
    } catch (const std::exception&) {
      Error error = current_error();
      if (error.code() == Errc::interrupted) throw;
      out_.failure = std::move(error);
    }
    return std::move(out_);
  }

 private:
  void archive(const std::string& wanted) {
    std::optional<io::LockFile> lock;
    if (!options_.dry_run) lock.emplace(internal::lock_models(tree_, options_.wait));
    const internal::ModelName name = internal::parse_model_name(wanted);
    if (!internal::present_folder(tree_, name)) {
      if (const auto archived = find_archived(tree_, wanted)) {
        out_.kind = archived->kind;
        out_.place = archived->place;
        out_.bytes = archived->manifest.total_bytes();
        return;
      }
    }
    const Installed model = find_model(tree_, wanted);
    const Manifest& manifest = model.manifest;
    const fs::path archive = internal::archive_folder(tree_, config_);
    out_.kind = manifest.kind;
    out_.place = archive / "models" / kind_folder(manifest.kind) / model.folder.filename();
    out_.bytes = manifest.total_bytes();
    check(model);
    const std::string text = io::read_file(model.folder / kManifestFile, kMaxManifestBytes);
    out_.was_there = is_there(text);
    out_.is_planned = options_.dry_run;
    if (options_.dry_run) return;
    copy(model, text);
    record(model, text);
    require_unused(model);
    internal::remove_folder(model.folder);
    out_.has_changed = true;
  }

  /// What keeps a model in the tree.
  void check(const Installed& model) const {
    const std::string name = qualified_name(model.manifest.kind, out_.place.filename().string());
    const std::string embedding = config_.text("models", "default_embedding");
    if (!options_.yes && (embedding == name || embedding == out_.place.filename()))
      throw Error(Errc::usage, fmt::format("{} is the model of default_embedding, which questions need", name),
                  "pass --yes to archive it all the same");
    const auto foreign = foreign_files(model.folder, model.manifest);
    if (!foreign.empty())
      throw Error(Errc::usage, fmt::format("{} is not in the manifest", io::shown(model.folder / foreign.front())),
                  "remove it, or take it into the manifest with 'reef-model manifest --force'");
    require_unused(model);
  }

  /// Neither its own files nor those that the model cache has of it.
  void require_unused(const Installed& model) const {
    for (const ManifestFile& file : model.manifest.files) {
      if (!is_weight_file(file.path)) continue;
      model::require_unused(model.folder / file.path, out_.name);
      model::require_unused(tree_.model_cache() / file.proven_digest(), out_.name);
    }
  }

  /// Whether the archive has a model of the name. Throws Error{usage} when it is another one.
  bool is_there(const std::string& text) const {
    if (!fs::exists(fs::symlink_status(out_.place))) return false;
    const fs::path manifest = out_.place / kManifestFile;
    if (fs::is_regular_file(manifest) && io::read_file(manifest, kMaxManifestBytes) == text) return true;
    throw Error(Errc::usage, fmt::format("{} holds another model", io::shown(out_.place)),
                "move it elsewhere; nothing was changed");
  }

  void copy(const Installed& model, const std::string& text) {
    const fs::path parent = out_.place.parent_path();
    tree::make_folders(parent);
    const io::LockFile lock(parent.parent_path() / ".lock", options_.wait);  // of other trees that archive there
    internal::restore_replaced(parent);
    io::remove_stale(parent);
    if (is_there(text) && is_intact(model.manifest)) return;
    internal::require_space(parent, model.manifest.total_bytes());
    Staging staged(out_.place, progress_);
    staged.bring(internal::files_of(model.manifest, model.folder), Staging::How::copy);
    forget_pages(staged.path(), model.manifest);
    Manifest found = model.manifest;
    staged.digest(found, {}, options_.threads);
    if (const auto different = internal::differing_files(model.manifest, found); !different.empty())
      throw Error(Errc::corrupt, internal::difference(found, *different.front(), "its manifest", model.folder),
                  fmt::format("see 'reef-model verify {}'; nothing was archived", out_.name));
    const fs::path signature = model.folder / kSignatureFile;
    staged.publish(model.manifest, text, fs::exists(signature) ? io::read_file(signature, 1 << 20) : "");
    out_.was_there = false;
  }

  /// A copy that was left there when the model was brought back, or that a killed run made.
  bool is_intact(const Manifest& manifest) {
    sync_copy(out_.place);  // before its pages are let go, and before the one in the tree is removed
    forget_pages(out_.place, manifest);
    return internal::is_intact(out_.place, manifest, options_.threads, progress_);
  }

  /// The record appears as a whole, and with it the model is archived.
  void record(const Installed& model, const std::string& text) {
    const fs::path target = tree_.archived(kind_folder(model.manifest.kind)) / out_.place.filename();
    tree::make_folders(target.parent_path());
    internal::StagedFolder staged(io::temporary_name(target));
    internal::write_new(staged.path() / kManifestFile, text);
    for (const std::string_view name : {kChunksFile, kSignatureFile}) {
      const fs::path from = model.folder / name;
      if (fs::exists(from)) internal::write_new(staged.path() / name, io::read_file(from));
    }
    internal::write_new(staged.path() / kArchivedFile, archived_text(out_.place, to_rfc3339(now())));
    staged.publish(target);
  }

  const tree::Tree& tree_;
  const tree::Config& config_;
  const ArchiveOptions& options_;
  Progress& progress_;
  ArchivedNow out_;
};

}  // namespace

std::size_t ArchiveResult::failures() const {
  return static_cast<std::size_t>(
      std::count_if(models.begin(), models.end(), [](const ArchivedNow& model) { return model.failure.has_value(); }));
}

ArchiveResult archive_models(const tree::Tree& tree, const tree::Config& config, const ArchiveOptions& options,
                             Progress& progress) {
  Archiver archiver(tree, config, options, progress);
  ArchiveResult result;
  result.dry_run = options.dry_run;
  for (const std::string& name : options.names) result.models.push_back(archiver.run(name));
  if (result.models.size() == 1 && result.models.front().failure) throw Error(*result.models.front().failure);
  return result;
}

}  // namespace reef::model
