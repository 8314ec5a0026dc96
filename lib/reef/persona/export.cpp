#include <fmt/format.h>
#include <sys/stat.h>

#include <set>

#include "reef/backup/archive_output.h"
#include "reef/backup/archive_writer.h"
#include "reef/core/error.h"
#include "reef/core/time.h"
#include "reef/document/originals.h"
#include "reef/document/registry.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/io/sqlite_mode.h"
#include "reef/persona/archive.h"
#include "reef/persona/internal/archive_puts.h"
#include "reef/persona/internal/archive_record.h"
#include "reef/persona/internal/folders.h"
#include "reef/persona/rows.h"
#include "reef/persona/survey.h"
#include "reef/session/archives.h"
#include "reef/session/schema.h"
#include "reef/tree/parts.h"
#include "reef/tree/persona.h"
#include "reef/vector/store.h"

namespace reef::persona {
namespace {

using internal::is_there;

/// What runs that were ended left in the root of the tree. The caller holds the lock of those who change personas.
void remove_stale_scratch(const tree::Tree& tree) {
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(tree.root()))
    if (const std::string name = entry.path().filename().string();
        name.starts_with(".export.") && io::is_temporary_name(name))
      stale.push_back(entry.path());
  for (const fs::path& folder : stale) fs::remove_all(folder);
}

/// A folder in the root of the tree that goes with the object.
class Scratch {
 public:
  explicit Scratch(const tree::Tree& tree) : path_(io::temporary_name(tree.root() / "export")) {
    constexpr unsigned kMode = 0700;
    if (::mkdir(path_.c_str(), kMode) != 0) throw_errno("create", io::shown(path_));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Texts come back out of the archive: it may not be there where the persona goes.
void take_texts_in(const fs::path& copy, std::vector<std::string>& archives) {
  io::Database database(copy, io::OpenMode::write);
  io::leave_triggers_out(database);
  io::Transaction transaction(database);
  session::Archives files;
  auto rows = database.prepare(
      "SELECT m.id, s.archive_file, m.archive_offset FROM messages m JOIN sessions s ON s.id = m.session_id "
      "WHERE m.archive_offset IS NOT NULL");
  struct Place {
    std::int64_t message;
    std::string file;
    std::int64_t offset;
  };
  std::vector<Place> places;
  while (rows.step()) places.push_back({rows.integer(0), std::string(rows.text(1)), rows.integer(2)});
  rows.reset();
  auto put = database.prepare("UPDATE messages SET content = ?, archive_offset = NULL WHERE id = ?");
  for (const Place& place : places) put.bind(1, files.text(place.file, place.offset)).bind(2, place.message).run();
  auto sessions = database.prepare("SELECT archive_file FROM sessions WHERE archive_file IS NOT NULL");
  while (sessions.step()) archives.emplace_back(sessions.text(0));
  sessions.reset();
  database.execute("UPDATE sessions SET archive_file = NULL");
  transaction.commit();
  database.checkpoint();
}

class Export {
 public:
  Export(const tree::Tree& tree, const std::string& persona, const ExportOptions& options)
      : tree_(tree),
        scope_(tree::Scope::persona(persona)),
        options_(options),
        scratch_(tree),
        file_(options.output),
        output_(file_.fd(), options.output),
        writer_(output_, options.threads),
        puts_(writer_) {
    record_.persona = persona;
    report_.persona = persona;
    report_.output = options.output;
  }

  ExportReport run(const Details& details, Progress& progress) {
    progress.begin("exporting " + record_.persona, 0, ProgressUnit::bytes);
    record_.created = to_rfc3339(now());
    if (details.survey.is_listed) record_.section = tree::persona_section(tree_, record_.persona);
    const auto locks = internal::lock_stores(tree_, record_.persona, options_.wait);
    extract(Shared::conversations, "conversations.sqlite");
    extract(Shared::documents, "documents.sqlite");
    note_model("vectors", tree_.vectors(scope_));
    note_model("turns", tree_.turns(record_.persona));
    const std::uint64_t originals = count_originals();
    record_.counts.emplace_back("originals", originals);
    record_.counts.emplace_back("memories", details.survey.memories);
    puts_.put_text(internal::kRecordFile, internal::record_text(record_));
    for (const char* name : {"conversations.sqlite", "documents.sqlite"})
      if (is_there(scratch_.path() / name)) puts_.put_file(name, scratch_.path() / name);
    put_attachments();
    put_originals();
    puts_.put_folder("vectors", tree_.vectors(scope_));
    puts_.put_folder("turns", tree_.turns(record_.persona));
    puts_.put_folder("memories", tree_.memories(record_.persona));
    for (const AdapterUse& adapter : details.adapters) {
      if (adapter.folder.empty())
        report_.notes.push_back(fmt::format("adapter {} is not in the tree", adapter.name));
      else
        puts_.put_folder("adapters/" + adapter.name, adapter.folder);
    }
    if (!record_.section.base.empty())
      report_.notes.push_back(fmt::format("its base model, {}, goes by itself", record_.section.base));
    writer_.finish();
    if (options_.force)
      file_.commit();
    else if (!file_.commit_new())
      throw_exists(options_.output);
    progress.end();
    report_.counts = record_.counts;
    report_.files = puts_.files();
    report_.bytes = puts_.bytes();
    report_.archive_bytes = output_.size_bytes();
    return std::move(report_);
  }

  [[noreturn]] static void throw_exists(const fs::path& output) {
    throw Error(Errc::usage, fmt::format("{} is there already", io::shown(output)), "pass --force to replace it");
  }

 private:
  void extract(Shared which, const char* name) {
    if (!is_there(shared_file(tree_, which))) return;
    const fs::path copy = scratch_.path() / name;
    extract_rows(shared_file(tree_, which), which, record_.persona, copy);
    if (which == Shared::conversations) take_texts_in(copy, archives_);
    for (const auto& count : count_rows(copy, which, record_.persona)) record_.counts.push_back(count);
  }

  void note_model(const char* store, const fs::path& folder) {
    if (!is_there(folder / "metadata.sqlite")) return;
    io::Database database(folder / "metadata.sqlite", io::OpenMode::read);
    const auto state = vector::read_state(database);
    if (state.rows_total > 0) record_.models.push_back({store, state.model, state.model_digest});
  }

  /// Calls `each` with the original and its text of every source, twice where two have the same.
  template <typename Each>
  void for_each_original(Each each) {
    const fs::path copy = scratch_.path() / "documents.sqlite";
    if (!is_there(copy)) return;
    const document::Originals originals(tree_, scope_);
    document::Registry registry(copy);
    for (const document::Source& source : registry.list(scope_))
      for (const std::string& digest : {source.sha256, source.next_sha256})
        if (!digest.empty())
          for (const auto& [path, folder] : {std::pair{originals.raw_path(digest, source.extension), "raw"},
                                             {originals.processed_path(digest, source.extension), "processed"}})
            if (is_there(path)) each(path, fmt::format("originals/{}/{}", folder, path.filename().string()));
  }

  std::uint64_t count_originals() {
    std::set<std::string> names;
    for_each_original([&](const fs::path&, const std::string& name) { names.insert(name); });
    return names.size();
  }
  void put_originals() {
    std::set<std::string> done;
    for_each_original([&](const fs::path& path, const std::string& name) {
      if (done.insert(name).second) puts_.put_file(name, path);
    });
  }

  void put_attachments() {
    const fs::path copy = scratch_.path() / "conversations.sqlite";
    if (!is_there(copy)) return;
    io::Database database(copy, io::OpenMode::read);
    auto rows = database.prepare("SELECT id FROM sessions ORDER BY id");
    while (rows.step()) {
      const std::string name = session::file_name_of(rows.text(0));
      puts_.put_folder("conversations/" + name, tree_.conversations() / name);
    }
    for (const std::string& archive : archives_) {
      const fs::path folder = fs::path(archive).replace_extension();
      puts_.put_folder("conversations/" + folder.filename().string(), folder);
    }
  }

  const tree::Tree& tree_;
  tree::Scope scope_;
  const ExportOptions& options_;
  Scratch scratch_;
  io::StagedFile file_;
  backup::FileOutput output_;
  backup::ArchiveWriter writer_;
  internal::ArchivePuts puts_;
  internal::ArchiveRecord record_;
  ExportReport report_;
  std::vector<std::string> archives_;  ///< files that sessions were archived in
};

}  // namespace

ExportReport export_persona(const tree::Tree& tree, const std::string& persona, const ExportOptions& options,
                            Progress& progress) {
  const io::LockFile lock(tree::persona_lock_file(tree), options.wait);
  remove_stale_scratch(tree);
  if (const auto change = tree::pending_change(tree); change && (change->persona == persona || change->to == persona))
    throw Error(Errc::failed,
                fmt::format("a run that was to {} persona '{}' did not end", tree::kind_name(change->kind), persona),
                "run that command again, which finishes it");
  const tree::Config config = tree::Config::load(tree);
  const Details details = describe(tree, config, persona);
  tree::require_in_reach(tree, tree::Scope::persona(persona));
  if (!options.force && is_there(options.output)) {
    if (fs::is_directory(options.output))
      throw Error(Errc::usage, fmt::format("{} is a folder", io::shown(options.output)), "name a file");
    throw Error(Errc::usage, fmt::format("{} is there already", io::shown(options.output)),
                "pass --force to replace it");
  }
  io::remove_stale_of(options.output);
  return Export(tree, persona, options).run(details, progress);
}

}  // namespace reef::persona
