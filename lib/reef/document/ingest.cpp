#include "reef/document/ingest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/text.h"
#include "reef/core/time.h"
#include "reef/document/internal/batch.h"
#include "reef/document/internal/extraction.h"
#include "reef/document/internal/file_list.h"
#include "reef/document/internal/sources.h"
#include "reef/document/originals.h"
#include "reef/document/registry.h"
#include "reef/document/stores.h"
#include "reef/io/checksum.h"
#include "reef/tree/parts.h"

namespace reef::document {
namespace {

namespace fs = std::filesystem;
using internal::Batch;
using internal::FileStamp;
using internal::InputFile;

/// After the store's lock was taken: nobody else writes where this scope stages its files.
Originals prepared_originals(const tree::Tree& tree, const tree::Scope& scope) {
  Originals originals(tree, scope);
  originals.prepare();
  return originals;
}

class Ingest {
 public:
  /// `input` was listed before anything is made: a missing operand must leave nothing behind.
  Ingest(const tree::Tree& tree, const IngestOptions& options, internal::InputFiles input,
         std::vector<IngestFault> faults, const embed::EmbedderMaker& make_embedder, Progress& progress)
      : tree_(tree),
        options_(options),
        make_embedder_(make_embedder),
        progress_(progress),
        input_(std::move(input)),
        store_(tree, options.scope, options.wait),
        originals_(prepared_originals(tree, options.scope)),
        registry_(tree.registry(), originals_.staging() / "registry"),
        batch_(store_, report_, progress) {
    report_.faults = std::move(faults);
    batch_.before_actions([this] { originals_.sync(); });
  }

  IngestReport run() {
    report_.scope = options_.scope.name();
    if (options_.prune && !options_.force) internal::require_folders_there(registry_.list(options_.scope), input_);
    if (const auto left = store_.remove_unfinished(); left > 0)
      log_step("removed {} documents that a killed run began", left);
    for (Source& source : registry_.unfinished(options_.scope))
      if (source.state == SourceState::removing) remove_source(source);
    // Before anything is recorded: another model than the store's must be told, not found out later.
    if (!options_.text_only && store_.state().rows_total > 0) need_embedder();
    add_pending(input_);
    const bool from_stdin = std::find(options_.paths.begin(), options_.paths.end(), "-") != options_.paths.end();
    internal::PipedInput piped(originals_.staging());
    if (from_stdin) input_.files.push_back(piped.read());
    std::uint64_t bytes = 0;
    for (const InputFile& file : input_.files) bytes += file.bytes;
    progress_.begin("ingesting", bytes, ProgressUnit::bytes);
    report_.files = input_.files.size();
    for (const InputFile& file : input_.files) take_file(file);
    batch_.flush();
    // Now that every file has given up what it no longer holds.
    second_look_ = true;
    for (const InputFile& file : std::exchange(contested_, {})) take_file(file);
    batch_.flush();
    if (options_.prune) prune(input_.folders);
    if (cache_) cache_->trim(options_.cache_cap_bytes);
    store_.finish_run();
    originals_.clean_up();
    progress_.end();
    report_.rebuilt = internal::rebuild_if_due(store_, options_.threads, progress_);
    return std::move(report_);
  }

 private:
  /// Files of a killed run come along even when they are not named this time.
  void add_pending(internal::InputFiles& input) {
    std::set<std::string> named;
    for (const InputFile& file : input.files) named.insert(file.source);
    for (Source& source : registry_.unfinished(options_.scope)) {
      if (source.state != SourceState::pending || named.contains(source.path)) continue;
      log_step("finishing {}, which an earlier run began", io::shown(source.path));
      std::error_code missing;
      const auto size = fs::file_size(source.path, missing);
      if (missing) {
        fail(source, "vanished while a run took it in", "");
        continue;
      }
      resumed_.emplace(source.path, source);
      input.files.push_back({source.path, source.path, size});
    }
  }

  void fail(Source& source, std::string reason, const std::string& hint) {
    if (source.documents > 0) reason += "; what it held before stays findable until it is removed";
    report_.faults.push_back({io::shown(source.path), 0, reason, hint});
    source.state = SourceState::failed;
    source.reason = reason;
    const std::string begun = std::exchange(source.next_sha256, "");
    source.last_seen = to_database_time(now());
    registry_.save(source);
    if (begun != source.sha256) internal::drop_original(registry_, originals_, begun, source.extension);
  }

  /// A file that an earlier run began needs what that run needed; without it, it waits for the next.
  bool can_resume(const InputFile& file, const Source& source) {
    if (source.text_only) return true;
    try {
      need_embedder();
      return true;
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      report_.faults.push_back({io::shown(file.source), 0,
                                fmt::format("an earlier run began it and it stays unfinished: {}", error.what()),
                                error.hint()});
      progress_.advance(file.bytes);
      return false;
    }
  }

  void take_file(const InputFile& file) {
    check_interrupt();
    auto old = registry_.find(options_.scope, file.source);
    Source source = old.value_or(Source{});
    if (!old) {
      source.scope = options_.scope;
      source.path = file.source;
      source.first_seen = to_database_time(now());
    }
    // A run that finishes another one's work does it in that one's way.
    const auto resumed = resumed_.find(file.source);
    const bool text_only = resumed != resumed_.end() ? resumed->second.text_only : options_.text_only;
    const auto tags = resumed != resumed_.end() ? resumed->second.tags : options_.tags;
    if (resumed != resumed_.end() && !can_resume(file, resumed->second)) return;
    try {
      const FileStamp stamp = internal::reading_input([&] { return internal::stamp_of(file.file); });
      internal::require_fits(file, stamp, options_.extract, text_only);
      const bool same_way =
          old && internal::is_settled(*old, text_only, tags) && store_.count_given(old->path) == old->documents;
      if (same_way && internal::is_untouched(*old, stamp)) return skip(file.bytes);
      const std::string sha256 = internal::reading_input(
          [&] { return io::to_hex(io::sha256_file(file.file, [](std::uint64_t) { check_interrupt(); })); });
      internal::set_stamp(source, stamp);
      if (same_way && old->sha256 == sha256) {
        source.last_seen = to_database_time(now());
        registry_.save(source);
        return skip(file.bytes);
      }
      source.text_only = text_only;
      source.tags = tags;
      take_content(file, source, sha256, stamp);
    } catch (const internal::InputError& error) {
      fail(source, error.what(), error.hint());
      progress_.advance(file.bytes);
    }
  }

  void skip(std::uint64_t bytes) {
    ++report_.unchanged;
    progress_.advance(bytes);
  }

  void take_content(const InputFile& file, Source& source, const std::string& sha256, const FileStamp& stamp) {
    const text::Format format = internal::require_format(file, options_.extract);
    if (!source.text_only) need_embedder();
    const std::string old_sha256 = source.sha256, old_extension = source.extension, begun = source.next_sha256;
    source.format = text::format_name(format, file.file);
    source.extension = internal::plain_extension(file.file);
    source.state = SourceState::pending;
    source.next_sha256 = sha256;
    source.reason.clear();
    source.last_seen = to_database_time(now());
    registry_.save(source);
    // What a killed run began with an older content of the file.
    if (begun != sha256 && begun != old_sha256) internal::drop_original(registry_, originals_, begun, old_extension);
    keep_original(file, source, sha256, stamp);
    internal::Extraction extraction(store_, registry_, batch_, progress_, source, sha256,
                                    source.text_only ? nullptr : embedder_.get());
    auto extracted = std::make_shared<internal::Extracted>(extraction.run(originals_, options_.extract));
    auto finished = std::make_shared<Source>(source);
    batch_.then([this, file, finished, extracted, sha256, old_sha256, old_extension] {
      finish_source(*finished, *extracted, sha256, old_sha256, old_extension);
      tell_faults(file, *extracted);
    });
    batch_.flush_if_full();
  }

  /// The copy is what is read from here on, so that it must be what was hashed.
  void keep_original(const InputFile& file, const Source& source, const std::string& sha256, const FileStamp& stamp) {
    try {
      originals_.keep(file.file, sha256, source.extension);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;
      throw internal::InputError(error);
    }
    if (!(internal::reading_input([&] { return internal::stamp_of(file.file); }) == stamp))
      throw internal::InputError(
          {Errc::failed, fmt::format("{} changed while it was read", io::shown(source.path)), "run the command again"});
  }

  /// The last step of a source, when its chunks are durable: what is no longer in it goes.
  void finish_source(Source& source, const internal::Extracted& extracted, const std::string& sha256,
                     const std::string& old_sha256, const std::string& old_extension) {
    // A line that could not be read may be the new form of a document that is here: keep those.
    if (!extracted.unread) {
      for (const DocumentRow& document : store_.of_source(source.path)) {
        if (extracted.names.contains(document.name)) continue;
        store_.remove_document(document);
        ++report_.removed;
      }
      store_.forget_removed(source.path, &extracted.names);
    }
    source.sha256 = sha256;
    source.next_sha256.clear();
    source.state = SourceState::done;
    source.documents = store_.count_given(source.path);
    source.reason = internal::joined_reasons(extracted.faults);
    source.model_digest = source.text_only ? "" : embedder_->identity().digest;
    registry_.save(source);
    if (old_sha256 != sha256 || old_extension != source.extension)
      internal::drop_original(registry_, originals_, old_sha256, old_extension);
    settle(extracted.former_owners);
  }

  /// An id that another file holds may be one that moved here: that file, if this run takes it in too, has yet to give
  /// it up.
  void tell_faults(const InputFile& file, const internal::Extracted& extracted) {
    if (extracted.contested && !second_look_) return contested_.push_back(file);
    for (const text::Fault& fault : extracted.faults)
      report_.faults.push_back({io::shown(file.source), fault.line, fault.reason, ""});
  }

  /// Sources whose documents came from another file this time: their rows tell what is left.
  void settle(const std::set<std::string>& former_owners) {
    for (const std::string& path : former_owners) {
      auto owner = registry_.find(options_.scope, path);
      if (!owner || owner->state != SourceState::done) continue;
      owner->documents = store_.count_given(path);
      if (owner->documents == 0)
        internal::remove_source(store_, registry_, originals_, *owner);
      else
        registry_.save(*owner);
    }
  }

  void remove_source(Source& source) {
    report_.removed +=
        static_cast<std::uint64_t>(internal::remove_source(store_, registry_, originals_, source).size());
  }

  void prune(const std::vector<std::string>& folders) {
    for (Source& source : registry_.list(options_.scope))
      if (internal::is_below(source.path, folders) && internal::is_gone(source.path)) remove_source(source);
  }

  /// The scope keeps its model, whatever default_embedding says by now.
  std::unique_ptr<embed::Embedder> embedder_of_store(const vector::StoreState& state) {
    try {
      return embed::open_embedder_of(make_embedder_, state.model, state.model_digest);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;
      throw Error(Errc::not_found,
                  fmt::format("{} holds vectors of {}: {}", options_.scope.name(), state.model, error.what()),
                  fmt::format("bring {} with 'reef-model import', or embed the scope again with another model: "
                              "'reef-index build --embedding NAME'",
                              state.model));
    }
  }

  void need_embedder() {
    if (embedder_) return;
    const auto& state = store_.state();
    embedder_ = state.rows_total > 0 ? embedder_of_store(state) : make_embedder_("");
    const auto identity = embedder_->identity();
    store_.use_model(identity.name, identity.digest, identity.dim);
    cache_.emplace(tree_.embedding_cache(), identity.digest, identity.dim);
    batch_.use(*embedder_, *cache_, options_.threads);
  }

  const tree::Tree& tree_;
  const IngestOptions& options_;
  const embed::EmbedderMaker& make_embedder_;
  Progress& progress_;
  internal::InputFiles input_;
  IngestReport report_;
  Stores store_;
  Originals originals_;
  Registry registry_;
  Batch batch_;
  std::unique_ptr<embed::Embedder> embedder_;
  std::optional<EmbeddingCache> cache_;
  std::vector<InputFile> contested_;       ///< files with ids that another file held
  bool second_look_ = false;               ///< at those
  std::map<std::string, Source> resumed_;  ///< sources that an earlier run left pending
};

}  // namespace

IngestReport ingest(const tree::Tree& tree, const IngestOptions& options, const embed::EmbedderMaker& make_embedder,
                    Progress& progress) {
  const auto begin = std::chrono::steady_clock::now();
  tree::require_in_reach(tree, options.scope);
  IngestReport report;
  if (options.dry_run) {
    report = internal::plan_ingest(tree, options);
  } else {
    std::vector<IngestFault> faults;
    auto input = internal::list_files(options.paths, faults);
    report = Ingest(tree, options, std::move(input), std::move(faults), make_embedder, progress).run();
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

}  // namespace reef::document
