#include "reef/model/fetch.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/log.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/model/archived.h"
#include "reef/model/bindings.h"
#include "reef/model/import.h"
#include "reef/model/internal/archive_folder.h"
#include "reef/model/internal/fetch_source.h"
#include "reef/model/internal/fetching.h"
#include "reef/model/internal/installed_state.h"
#include "reef/model/internal/staging.h"
#include "reef/tree/folders.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;
using internal::FetchSource;
using internal::FileStore;
using internal::ModelName;
using internal::Staging;

constexpr const char* kForceHint = "bring it again with 'reef-model fetch --force {}'";

std::string digest_of_text(std::string_view text) { return io::to_hex(io::sha256(text)); }

/// Brings one model, whose name is known to be one.
class Fetch {
 public:
  Fetch(const tree::Tree& tree, const tree::Config& config, const FetchOptions& options, Progress& progress,
        const std::string& wanted)
      : tree_(tree), config_(config), options_(options), progress_(progress), wanted_(wanted) {
    out_.name = wanted;
  }

  FetchedModel run() {
    try {
      name_ = internal::parse_model_name(wanted_);
      pinned_ = internal::pinned_sha256(config_, name_.name);
      bring();
    } catch (const std::exception&) {
      Error error = current_error();
      if (error.code() == Errc::interrupted) throw;
      out_.failure = std::move(error);
    }
    return std::move(out_);
  }

 private:
  void bring() {
    const bool is_given = !options_.from.empty();
    const std::string key = fmt::format("models.{}.source", name_.name);
    const std::string text = is_given ? options_.from : config_.text("models", key);
    std::optional<FetchSource> source;
    if (!text.empty())
      source = internal::parse_fetch_source(text, is_given ? options_.base : tree_.root(), tree_, config_);
    if (is_there(source)) return;
    if (const auto archived = is_given ? std::nullopt : find_archived(tree_, wanted_)) {
      if (options_.missing) return leave(*archived);
      return from_archive(*archived);
    }
    if (!source) {
      if (!pinned_.empty() && tier3()) return from_tier3(FetchSource::Form::folder, {});
      if (const auto place = internal::place_in_archive(tree_, config_, name_)) return from_place(*place, {}, {});
      throw Error(Errc::usage, fmt::format("nothing says where '{}' is to be had", wanted_),
                  fmt::format("write {} in models.yaml, or name a source with --from", key));
    }
    try {
      from_source(*source);
    } catch (const std::exception&) {
      const Error error = current_error();
      const Errc code = error.code();
      const bool may_help = code == Errc::failed || code == Errc::not_found || code == Errc::corrupt;
      if (!may_help || pinned_.empty() || source->store.is_by_digest || !has_tier3()) throw;
      log_warn("{}; trying tier 3 for {}", error.what(), wanted_);
      try {
        from_tier3(source->form == FetchSource::Form::import ? form_of(source->path) : source->form, source->file_name);
      } catch (const std::exception&) {
        const Error second = current_error();
        if (second.code() == Errc::interrupted) throw;
        throw Error(code, fmt::format("{}; nor from tier 3: {}", error.what(), second.what()), error.hint());
      }
    }
  }

  /// Whether nothing is to be done. Throws Error{corrupt} for a model that is there damaged, Error{usage} for another
  /// version than the one pinned.
  bool is_there(const std::optional<FetchSource>& source) {
    const auto folder = internal::present_folder(tree_, name_);
    if (!folder) return false;
    Manifest manifest;
    const std::string fault = internal::visible_fault(*folder, manifest);
    out_.action = FetchAction::replace;
    if (options_.force) return false;
    const std::string hint = fmt::format(kForceHint, wanted_);
    if (!fault.empty()) throw Error(Errc::corrupt, fault, hint);
    const bool pins_manifest = !pinned_.empty() && source && source->form == FetchSource::Form::folder;
    if (pins_manifest && digest_of_text(io::read_file(*folder / kManifestFile, kMaxManifestBytes)) != pinned_)
      throw Error(Errc::usage, fmt::format("{} is another version than models.yaml pins", io::shown(*folder)), hint);
    note(manifest, *folder);
    out_.action = FetchAction::none;
    clean_up(manifest.kind, *folder);
    return true;
  }

  /// What a run left that was killed just after it had published.
  void clean_up(Kind kind, const fs::path& folder) {
    if (options_.dry_run) return;
    internal::Fetching::remove(tree_, name_.name);
    const fs::path records = tree_.archived(kind_folder(kind));
    if (!fs::exists(records) || fs::is_empty(records)) return;
    try {
      const io::LockFile lock = internal::lock_models(tree_, {});
      const fs::path record = records / name_.name;
      const auto text_of = [](const fs::path& at) { return io::read_file(at / kManifestFile, kMaxManifestBytes); };
      // Of another version the record stays: it alone tells where that is.
      if (fs::is_regular_file(record / kManifestFile) && fs::is_directory(folder) && text_of(record) == text_of(folder))
        internal::remove_folder(record);
    } catch (const Error& error) {  // it may be archived just now: then the record is to stay
      if (error.code() != Errc::locked) throw;
    }
  }

  void note(const Manifest& manifest, const fs::path& folder) {
    out_.kind = manifest.kind;
    out_.folder = folder;
    out_.bytes = manifest.total_bytes();
  }

  /// Says what will be brought. True when that is all.
  bool begins(const std::string& source) {
    out_.source = source;
    if (out_.action == FetchAction::none) out_.action = FetchAction::create;
    return options_.dry_run;
  }

  void leave(const ArchivedModel& archived) {
    out_.action = FetchAction::left;
    out_.kind = archived.kind;
    out_.folder = archived.place;
    out_.bytes = archived.manifest.total_bytes();
  }

  void from_source(const FetchSource& source) {
    if (source.form == FetchSource::Form::import) return import(source);
    if (pinned_.empty() && source.store.is_by_digest) {
      throw Error(Errc::usage, fmt::format("nothing says which model of tier 3 '{}' is", wanted_),
                  fmt::format("write the SHA-256 of its manifest.json to models.{}.sha256 in models.yaml", name_.name));
    }
    if (pinned_.empty() && source.form == FetchSource::Form::file) {
      throw Error(Errc::usage, fmt::format("nothing says what {} must be", source.text),
                  fmt::format("write the SHA-256 of the file to models.{}.sha256 in models.yaml", name_.name));
    }
    if (begins(source.text)) return;
    if (source.form == FetchSource::Form::folder) return from_store(source.store);
    from_file(source.store, source.file_name, source.text);
  }

  void import(const FetchSource& source) {
    check_pinned(source);
    if (begins(io::shown(source.path))) return;
    import_file(source.path, {}, false);
  }

  /// A folder's manifest or the one file must be what is pinned.
  void check_pinned(const FetchSource& source) {
    if (pinned_.empty()) return;
    const bool is_folder = fs::is_directory(source.path);
    const fs::path file = is_folder ? source.path / kManifestFile : source.path;
    const std::string key = fmt::format("models.{}.sha256", name_.name);
    if (is_folder && !fs::exists(file)) {
      throw Error(Errc::usage,
                  fmt::format("{} has no {}, whose digest {} would be", io::shown(source.path), kManifestFile, key),
                  "leave the digest out, or name a folder that reef published");
    }
    const std::string found = internal::digest_of(file, no_progress());
    if (found == pinned_) return;
    throw Error(Errc::corrupt, fmt::format("{}: sha256 is {}, models.yaml says {}", io::shown(file), found, pinned_),
                fmt::format("the source has another version; see {}", key));
  }

  static FetchSource::Form form_of(const fs::path& source) {
    std::error_code error;
    return fs::is_regular_file(source, error) || source.extension() == ".gguf" || source.extension() == ".whl"
               ? FetchSource::Form::file
               : FetchSource::Form::folder;
  }

  void from_file(const FileStore& store, const std::string& file_name, const std::string& origin) {
    internal::Fetching fetching(tree_, name_.name, progress_);
    const fs::path file = fetching.bring_file(store, file_name, pinned_);
    out_.received_bytes = fetching.received_bytes();
    out_.earlier_bytes = fetching.earlier_bytes();
    import_file(file, origin, true);
    fetching.remove();
  }

  void import_file(const fs::path& path, const std::string& origin, bool links) {
    ImportOptions options;
    options.source = path;
    options.kind = name_.kind;
    options.name = name_.name;
    options.origin = origin;
    options.links = links;
    if (!links && fs::is_directory(path)) options.manifest_sha256 = pinned_;
    options.force = options_.force;
    options.threads = options_.threads;
    options.wait = options_.wait;
    const ImportResult result = import_model(tree_, config_, options, progress_);
    note(result.manifest, result.folder);
    if (result.action == ImportAction::none) out_.action = FetchAction::none;
  }

  void from_store(const FileStore& store) {
    internal::Fetching fetching(tree_, name_.name, progress_);
    const Manifest& manifest = fetching.bring_manifest(store, pinned_);
    if (name_.kind && *name_.kind != manifest.kind)
      throw Error(Errc::usage, fmt::format("'{}' is a {} model there", name_.name, kind_name(manifest.kind)),
                  fmt::format("it is called {}", qualified_name(manifest.kind, manifest.name)));
    const fs::path target = tree_.models(kind_folder(manifest.kind)) / manifest.name;
    note(manifest, target);
    try {
      fetching.bring_files();
      const io::LockFile lock = internal::lock_models(tree_, options_.wait);
      require_free(target);
      fetching.publish(target, options_.threads);
    } catch (...) {
      out_.received_bytes = fetching.received_bytes();
      throw;
    }
    out_.received_bytes = fetching.received_bytes();
    out_.earlier_bytes = fetching.earlier_bytes();
    fetching.remove();
  }

  /// Another run may have brought it meanwhile.
  void require_free(const fs::path& target) const {
    if (options_.force || !fs::exists(fs::symlink_status(target))) return;
    throw Error(Errc::usage, fmt::format("{} is there now", io::shown(target)), fmt::format(kForceHint, wanted_));
  }

  std::optional<FileStore> tier3() const { return internal::tier3_store(tree_, config_); }

  /// Where its own settings are at fault, the source's fault is what is to be told.
  bool has_tier3() const {
    try {
      return tier3().has_value();
    } catch (const Error&) {
      return false;
    }
  }

  void from_tier3(FetchSource::Form form, std::string file_name) {
    const FileStore store = *tier3();
    if (begins("tier3")) return;
    if (form == FetchSource::Form::folder) return from_store(store);
    if (file_name.empty()) file_name = name_.name + ".gguf";  // import looks at what the file holds
    from_file(store, file_name, "tier3:" + pinned_);
  }

  void from_archive(const ArchivedModel& archived) {
    if (!archived.fault.empty())
      throw Error(Errc::corrupt, archived.fault,
                  fmt::format("remove {} and import the model from the archive", io::shown(archived.record)));
    const std::string text = io::read_file(archived.record / kManifestFile, kMaxManifestBytes);
    fs::path place = archived.place;
    if (!fs::is_directory(place)) {  // mounted elsewhere now?
      const ModelName name{archived.kind, archived.name};
      place = internal::place_in_archive(tree_, config_, name).value_or(place);
    }
    if (!fs::is_directory(place))
      throw Error(Errc::not_found, fmt::format("{} is archived at {}, which is not there", wanted_, io::shown(place)),
                  "mount the drive that holds it, or set storage.archive in system.yaml");
    from_place(place, text, archived.record);
  }

  /// Copies a model's folder from the archive. `text` is the manifest that it must have; empty: its own. `record` is
  /// removed at the end, if there is one.
  void from_place(const fs::path& place, std::string text, const fs::path& record) {
    if (begins("archive")) {
      out_.folder = place;
      return;
    }
    if (text.empty()) text = io::read_file(place / kManifestFile, kMaxManifestBytes);
    if (record.empty() && !pinned_.empty() && digest_of_text(text) != pinned_)
      throw Error(Errc::corrupt, fmt::format("{} is another version than models.yaml pins", io::shown(place)),
                  fmt::format("see models.{}.sha256", name_.name));
    const Manifest manifest = parse_manifest(text, (place / kManifestFile).string());
    const fs::path target = tree_.models(kind_folder(manifest.kind)) / name_.name;
    const io::LockFile lock = internal::lock_models(tree_, options_.wait);
    require_free(target);
    internal::require_space(target.parent_path(), manifest.total_bytes());
    Staging staged(target, progress_);
    staged.bring(internal::files_of(manifest, place), Staging::How::copy);
    Manifest found = manifest;
    staged.digest(found, {}, options_.threads);
    if (const auto different = internal::differing_files(manifest, found); !different.empty())
      throw Error(Errc::corrupt, internal::difference(found, *different.front(), "its manifest", place),
                  "the copy in the archive is damaged; nothing was changed");
    const fs::path& signed_at = record.empty() ? place : record;
    const bool is_signed = fs::exists(signed_at / kSignatureFile);
    staged.publish(manifest, text, is_signed ? io::read_file(signed_at / kSignatureFile, 1 << 20) : "");
    if (!record.empty()) internal::remove_folder(record);
    note(manifest, target);
    out_.received_bytes = manifest.total_bytes();
  }

  const tree::Tree& tree_;
  const tree::Config& config_;
  const FetchOptions& options_;
  Progress& progress_;
  const std::string wanted_;
  ModelName name_;
  std::string pinned_;
  FetchedModel out_;
};

/// What the configuration names, each once. Whether it is there is seen later.
std::vector<std::string> configured_names(const tree::Config& config) {
  std::vector<std::string> names = config.names("models", "models");
  names.push_back(config.text("models", "default_embedding"));
  for (const Binding& binding : read_bindings(config)) {
    const bool is_bare = !binding.is_base && binding.name.find('/') == std::string::npos;
    names.push_back(is_bare ? qualified_name(Kind::adapter, binding.name) : binding.name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::erase_if(names, [](const std::string& name) { return name.empty() || name == "endpoint"; });
  return names;
}

}  // namespace

std::size_t FetchResult::failures() const {
  return static_cast<std::size_t>(
      std::count_if(models.begin(), models.end(), [](const FetchedModel& model) { return model.failure.has_value(); }));
}

FetchResult fetch_models(const tree::Tree& tree, const tree::Config& config, const FetchOptions& options,
                         Progress& progress) {
  if (options.missing != options.names.empty())
    throw Error(Errc::usage, options.missing ? "--missing and names exclude each other" : "no model is named",
                "name models, or pass --missing for all that models.yaml and personas.yaml name");
  if (!options.from.empty() && options.names.size() != 1)
    throw Error(Errc::usage, "--from is for one model", "name the one that is to be had there");
  FetchResult result;
  result.dry_run = options.dry_run;
  std::optional<io::LockFile> lock;
  if (!options.dry_run) {
    tree::make_folders(tree.fetching());
    lock.emplace(tree.fetching() / ".lock", options.wait);
  }
  const std::vector<std::string> names = options.missing ? configured_names(config) : options.names;
  for (const std::string& name : names) result.models.push_back(Fetch(tree, config, options, progress, name).run());
  if (names.size() == 1 && result.models.front().failure) throw Error(*result.models.front().failure);
  return result;
}

}  // namespace reef::model
