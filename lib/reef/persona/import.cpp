#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "reef/backup/archive_reader.h"
#include "reef/backup/target_folder.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/core/time.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/io/sqlite_mode.h"
#include "reef/model/manifest.h"
#include "reef/persona/archive.h"
#include "reef/persona/internal/archive_record.h"
#include "reef/persona/internal/copies.h"
#include "reef/persona/internal/folders.h"
#include "reef/persona/internal/steps.h"
#include "reef/persona/survey.h"
#include "reef/session/archives.h"
#include "reef/session/schema.h"
#include "reef/tree/persona.h"
#include "reef/tree/persona_edit.h"
#include "reef/tree/shards.h"

namespace reef::persona {
namespace {

using internal::is_there;

constexpr std::uint64_t kLargestRecord = 16 << 20;

/// Takes the record alone.
class RecordSink : public backup::Sink {
 public:
  void put(const backup::Entry& entry, backup::Content* content) override {
    if (entry.path != internal::kRecordFile || content == nullptr) return;
    if (content->size_bytes() > kLargestRecord)
      throw Error(Errc::corrupt, fmt::format("{} is too large", internal::kRecordFile));
    text.resize(content->size_bytes());
    content->read(0, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    content->finish();
  }
  std::string text;
};

/// Whether a path is one of those that archive.h names.
bool is_expected(const backup::Entry& entry) {
  static const std::set<std::string> kFiles{internal::kRecordFile, "conversations.sqlite", "documents.sqlite"};
  static const std::set<std::string> kFolders{"conversations", "originals", "vectors", "turns", "memories", "adapters"};
  const std::string first = entry.path.substr(0, entry.path.find('/'));
  if (first == entry.path) {
    return entry.type == backup::EntryType::folder ? kFolders.contains(first)
                                                   : entry.type == backup::EntryType::file && kFiles.contains(first);
  }
  return kFolders.contains(first);
}

class Import {
 public:
  Import(const tree::Tree& tree, const ImportOptions& options, Progress& progress)
      : tree_(tree),
        options_(options),
        progress_(progress),
        fd_(io::open_regular(options.file, "name a file that 'reef-persona export' wrote")),
        source_(fd_.get(), options.file),
        reader_(source_, options.threads),
        shown_(io::shown(options.file)) {}

  /// `finished`: an earlier run's import, which has just come to its end.
  ImportReport run(const Finished& finished) {
    read_record();
    if (finished && !finished->undone && finished->change.kind == tree::PersonaChange::Kind::import &&
        finished->change.persona == report_.persona) {
      note();
      return std::move(report_);
    }
    require_absent();
    if (options_.dry_run) return std::move(report_);
    const fs::path staging = io::temporary_name(tree_.root() / "import");
    tree::begin_change(
        tree_, {tree::PersonaChange::Kind::import, report_.persona, staging.filename().string(), to_rfc3339(now())});
    try {
      stage(staging);
    } catch (...) {
      undo(staging);
      throw;
    }
    internal::run_import(tree_, report_.persona, staging.filename().string(), options_.wait);
    note();
    return std::move(report_);
  }

 private:
  void read_record() {
    RecordSink sink;
    reader_.read({{internal::kRecordFile}}, sink, no_progress());
    record_ = internal::parse_record(sink.text, shown_);
    report_.from = record_.persona;
    report_.persona = options_.as.value_or(record_.persona);
    tree::require_persona_id(report_.persona);
    report_.dry_run = options_.dry_run;
    report_.counts = record_.counts;
    for (const auto& [entry, counts] : reader_.entries()) {
      if (!is_expected(entry))
        throw Error(Errc::corrupt,
                    fmt::format("{} holds '{}', which does not belong to a persona", shown_, printable(entry.path)),
                    "nothing was taken in");
      if (entry.type == backup::EntryType::folder) continue;
      ++report_.files;
      if (entry.same_file_as.empty()) report_.bytes += entry.size_bytes;
    }
  }

  void require_absent() const {
    const std::string& id = report_.persona;
    if (!survey(tree_, tree::Config::load(tree_), id).empty())
      throw Error(Errc::usage, fmt::format("there is a persona '{}' already", id),
                  "--as ID takes it in under another one");
    for (const fs::path& folder : {tree_.vectors(tree::Scope::persona(id)), tree_.turns(id), tree_.memories(id)})
      if (internal::is_taken(folder))
        throw Error(Errc::usage, fmt::format("{} is there already", io::shown(folder)), "move it elsewhere first");
    tree::require_addable(tree_, id, record_.section);
  }

  void stage(const fs::path& staging) {
    progress_.begin("importing " + report_.persona, report_.bytes, ProgressUnit::bytes);
    backup::TargetOptions target;
    target.threads = std::max(1U, options_.threads);
    backup::TargetFolder folder(staging, target);
    reader_.read({}, folder, progress_);
    folder.finish();
    progress_.end();
    internal::check_databases(staging, shown_);
    check_originals(staging / "originals");
    check_adapters(staging / "adapters");
    check_attachments(staging);
    check_sessions(staging);
    internal::rename_copies(staging, record_.persona, report_.persona);
    internal::renumber_copies(tree_, staging);
    // From here on the next run finishes it.
    if (record_.section.name == record_.persona) record_.section.name = report_.persona;
    io::replace_file(staging / internal::kReady, internal::record_text(record_));
  }

  void undo(const fs::path& staging) const {
    std::error_code error;
    if (is_there(staging / internal::kReady)) return;
    fs::remove_all(staging, error);
    if (error) return;  // the next run does it
    try {
      tree::end_change(tree_);
    } catch (const Error&) {  // likewise; what happened before is told
    }
  }

  void check_originals(const fs::path& folder) const {
    if (!is_there(folder / "raw")) return;
    for (const auto& entry : fs::directory_iterator(folder / "raw")) {
      const std::string name = entry.path().filename().string();
      constexpr std::size_t kDigits = 64;
      if (io::to_hex(io::sha256_file(entry.path(), [](std::uint64_t) { check_interrupt(); })) !=
          name.substr(0, kDigits))
        throw Error(Errc::corrupt,
                    fmt::format("{}: the original {} is not what its name says", shown_, printable(name)),
                    "export the persona again");
    }
  }

  void check_adapters(const fs::path& folder) const {
    if (!is_there(folder)) return;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (!model::is_model_name(name))
        throw Error(Errc::corrupt, fmt::format("{}: '{}' is no name of an adapter", shown_, printable(name)));
      const auto manifest = model::read_manifest(entry.path());
      if (manifest)
        for (const model::ManifestFile& file : manifest->files)
          if (!is_there(entry.path() / file.path) ||
              io::to_hex(io::sha256_file(entry.path() / file.path, [](std::uint64_t) { check_interrupt(); })) !=
                  file.sha256)
            throw Error(
                Errc::corrupt,
                fmt::format("{}: adapter {}: {} is not what its manifest says", shown_, name, printable(file.path)),
                "export the persona again");
      const fs::path there = tree_.models("adapters") / name;
      if (internal::is_taken(there) && digest_of(there) != digest_of(entry.path()))
        throw Error(Errc::usage, fmt::format("there is another adapter called {} already", name),
                    "rename or remove it: personas.yaml refers to adapters by name");
    }
  }

  /// Of its files' names and contents, but for what reef records of them.
  static std::string digest_of(const fs::path& adapter) {
    std::set<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(adapter))
      if (entry.is_regular_file())
        if (const auto name = fs::relative(entry.path(), adapter).native(); !model::is_record_file(name))
          files.insert(name);
    io::Sha256 digest;
    for (const std::string& name : files)
      digest.update(fmt::format("{}:{}{}", name.size(), name,
                                io::to_hex(io::sha256_file(adapter / name, [](std::uint64_t) { check_interrupt(); }))));
    return io::to_hex(digest.finish());
  }

  /// Attachments of its sessions and nothing else: they come beside those of all personas.
  void check_attachments(const fs::path& staging) const {
    if (!is_there(staging / "conversations")) return;
    std::set<std::string> names;
    if (is_there(staging / "conversations.sqlite")) {
      io::Database copy(staging / "conversations.sqlite", io::OpenMode::write);
      auto ids = copy.prepare("SELECT id FROM sessions WHERE persona_id = ?");
      ids.bind(1, record_.persona);
      while (ids.step()) names.insert(session::file_name_of(ids.text(0)));
    }
    for (const auto& entry : fs::directory_iterator(staging / "conversations"))
      if (const std::string name = entry.path().filename().string(); !names.contains(name))
        throw Error(Errc::corrupt,
                    fmt::format("{}: conversations/{} belongs to none of its sessions", shown_, printable(name)),
                    "export the persona again");
  }

  void check_sessions(const fs::path& staging) const {
    if (!is_there(staging / "conversations.sqlite") || !is_there(session::conversations_file(tree_))) return;
    io::Database live = session::read_conversations(tree_), copy(staging / "conversations.sqlite", io::OpenMode::write);
    auto ids = copy.prepare("SELECT id FROM sessions WHERE persona_id = ? ORDER BY id");
    ids.bind(1, record_.persona);
    auto find = live.prepare("SELECT persona_id FROM sessions WHERE id = ?");
    constexpr std::size_t kNamed = 5;
    std::vector<std::string> taken;
    std::size_t count = 0;
    while (ids.step()) {
      find.reset().bind(1, ids.text(0));
      const bool is_taken =
          find.step() || internal::is_taken(tree_.conversations() / session::file_name_of(ids.text(0)));
      if (is_taken && ++count <= kNamed) taken.push_back(fmt::format("'{}'", printable(ids.text(0))));
    }
    if (count > 0)
      throw Error(Errc::usage,
                  fmt::format("{} of its sessions have ids that are taken here: {}{}", count, fmt::join(taken, ", "),
                              count > kNamed ? ", …" : ""),
                  "a session's id is unique; 'reef-session list' tells whose they are, 'reef-session delete' removes "
                  "them");
  }

  void note() {
    const tree::Config config = tree::Config::load(tree_);
    const std::string model = config.text("models", "default_embedding");
    for (const internal::StoreModel& store : record_.models)
      if (store.model != model)
        report_.notes.push_back(
            store.store == "vectors"
                ? fmt::format("its documents are embedded by {}, and this tree embeds by {}: run 'reef-index build "
                              "--persona {} --embedding {}'",
                              store.model, model, report_.persona, model)
                : fmt::format("its messages are embedded by {}, and this tree embeds by {}: run 'reef-session index "
                              "--persona {} --again'",
                              store.model, model, report_.persona));
    if (!record_.section.base.empty() && !is_there(tree_.models() / record_.section.base) &&
        !is_there(tree_.models("base") / record_.section.base) &&
        !is_there(tree_.models("quantized") / record_.section.base))
      report_.notes.push_back(fmt::format("its base model, {}, is not here", record_.section.base));
    for (const std::string& adapter : record_.section.adapters) {
      const std::string name = adapter.starts_with("adapters/") ? adapter.substr(9) : adapter;
      if (!is_there(tree_.models("adapters") / name))
        report_.notes.push_back(fmt::format("its adapter {} was not in the archive and is not here", name));
    }
    if (tree::ShardMap::load(tree_, config).any_listed())
      report_.notes.push_back(
          fmt::format("its vectors are in the tree: 'reef-index shard apply --persona {}' brings "
                      "them to their shard",
                      report_.persona));
  }

  const tree::Tree& tree_;
  const ImportOptions& options_;
  Progress& progress_;
  io::UniqueFd fd_;
  backup::FileSource source_;
  backup::ArchiveReader reader_;
  std::string shown_;
  internal::ArchiveRecord record_;
  ImportReport report_;
};

}  // namespace

ImportReport import_persona(const tree::Tree& tree, const ImportOptions& options, Progress& progress) {
  std::optional<io::LockFile> lock;
  Finished finished;
  if (!options.dry_run) {
    lock.emplace(tree::persona_lock_file(tree), options.wait);
    finished = finish_pending(tree, options.wait, progress);
  }
  ImportReport report = Import(tree, options, progress).run(finished);
  report.finished = std::move(finished);
  return report;
}

}  // namespace reef::persona
