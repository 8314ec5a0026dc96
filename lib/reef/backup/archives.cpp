#include "reef/backup/archives.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "reef/backup/internal/archive_description.h"
#include "reef/backup/internal/archive_object.h"
#include "reef/backup/internal/archives_verify.h"
#include "reef/backup/internal/archives_writer.h"
#include "reef/backup/internal/dated_files.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"

namespace reef::backup {

using internal::ArchiveDescription;
using internal::ArchiveIds;
using internal::ModelFile;
using internal::OpenArchive;
using internal::OpenModel;

namespace {

using OnDamage = std::function<void(const std::string& path, const std::string& what)>;

/// Everything but what is there for restores without reef alone.
class WithoutListing : public Sink {
 public:
  explicit WithoutListing(Sink& sink) : sink_(sink) {}
  bool keep(const Entry& entry) override { return entry.path == internal::kModelListing || sink_.keep(entry); }
  void put(const Entry& entry, Content* content) override { sink_.put(entry, content); }

 private:
  Sink& sink_;
};

ArchiveDescription require(io::ObjectStore& store, const std::string& id) {
  try {
    if (internal::time_of_id(id)) return internal::get_description(store, id);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
  }
  throw Error(Errc::not_found, fmt::format("{} has no snapshot '{}'", store.name(), id),
              "'reef-backup list' shows those that there are");
}

/// Puts the models of a selection; a hard link stands for its file where that is not selected.
class ModelRestore {
 public:
  ModelRestore(const ArchivesOptions& options, io::ObjectStore& store, Sink& sink, Progress& progress,
               const OnDamage& on_damage)
      : options_(options), store_(store), sink_(sink), progress_(progress), on_damage_(on_damage) {}

  void run(const ArchiveDescription& description, const Selection& selection) {
    for (const ModelFile& model : description.models) files_.emplace(model.entry.path, &model);
    std::vector<const ModelFile*> chosen;
    std::set<const ModelFile*> read;
    for (const ModelFile& model : description.models) {
      if (!selection.covers(model.entry.path)) continue;
      chosen.push_back(&model);
      read.insert(&file_of(model));
    }
    if (chosen.empty()) return;
    std::uint64_t bytes = 0;
    for (const ModelFile* file : read) bytes += file->entry.size_bytes;
    progress_.begin("reading models", bytes, ProgressUnit::bytes);
    for (const ModelFile* model : chosen) {
      check_interrupt();
      put(*model);
    }
    progress_.end();
  }

 private:
  const ModelFile& file_of(const ModelFile& model) const {
    const auto file = files_.find(model.entry.same_file_as);
    return file != files_.end() ? *file->second : model;
  }

  void put(const ModelFile& model) {
    const ModelFile& file = file_of(model);
    Entry entry = model.entry;
    if (const auto placed = placed_.find(file.entry.path); placed != placed_.end()) {
      if (placed->second.empty())
        return on_damage_(entry.path, fmt::format("it is a hard link to {}", io::shown(file.entry.path)));
      entry.same_file_as = placed->second;
      return sink_.put(entry, nullptr);
    }
    placed_[file.entry.path] = entry.path;
    entry.same_file_as.clear();
    entry.size_bytes = file.entry.size_bytes;
    if (!sink_.keep(entry)) put_content(entry, file);
    progress_.advance(entry.size_bytes);
  }

  void put_content(const Entry& entry, const ModelFile& file) {
    std::unique_ptr<OpenModel> model;
    try {
      model = std::make_unique<OpenModel>(options_, store_, file, no_progress());
      sink_.put(entry, &model->content());
    } catch (const Error& error) {
      const bool is_its_own = error.code() == Errc::corrupt && (model == nullptr || model->has_failed());
      if (!is_its_own || !on_damage_) throw;
      placed_[file.entry.path].clear();
      on_damage_(entry.path, error.what());
    }
  }

  const ArchivesOptions& options_;
  io::ObjectStore& store_;
  Sink& sink_;
  Progress& progress_;
  const OnDamage& on_damage_;
  std::unordered_map<std::string, const ModelFile*> files_;
  std::unordered_map<std::string, std::string> placed_;  ///< under which path a file was put; empty: it is damaged
};

/// What prune() takes away, and what keeps it from taking more.
class Sweep {
 public:
  Sweep(io::ObjectStore& store, const std::vector<Snapshot>& removed) : store_(store) {
    for (const Snapshot& snapshot : removed) removed_.insert(snapshot.id);
    const std::vector<io::StoredObject> objects = store.list("system-");
    const ArchiveIds ids = internal::ids_of(objects);
    std::set<std::string> described(ids.described.begin(), ids.described.end());
    for (const std::string& id : ids.described)
      if (removed_.count(id) == 0) keep_models_of(id);
    for (const io::StoredObject& object : objects) {
      const std::string id = object.key.substr(7, object.key.find('.') - 7);
      if (ids.all.count(id) == 0) continue;
      const bool goes = removed_.count(id) != 0 || described.count(id) == 0;
      // Without its description, which goes first, an archive is what a killed run left.
      if (goes) (object.key == internal::description_key(id) ? first_ : then_).push_back(object);
    }
    if (!knows_all_) return;
    for (const io::StoredObject& object : store.list(std::string(internal::kModels))) {
      const std::string name = object.key.substr(internal::kModels.size());
      if (name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string::npos &&
          models_.count(object.key) == 0)
        then_.push_back(object);
    }
  }

  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const auto* part : {&first_, &then_})
      for (const io::StoredObject& object : *part) sum += object.bytes;
    return sum;
  }

  void run() {
    for (const auto* part : {&first_, &then_}) {
      for (const io::StoredObject& object : *part) {
        check_interrupt();
        store_.remove(object.key);
      }
    }
  }

 private:
  void keep_models_of(const std::string& id) {
    try {
      for (const ModelFile& model : internal::get_description(store_, id).models)
        models_.insert(internal::model_key(model.digest));
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      log_warn("{}; all models stay", error.what());
      knows_all_ = false;
    }
  }

  io::ObjectStore& store_;
  std::set<std::string> removed_;
  std::set<std::string> models_;  ///< that stay
  bool knows_all_ = true;
  std::vector<io::StoredObject> first_;
  std::vector<io::StoredObject> then_;
};

}  // namespace

Archives::Archives(ArchivesOptions options) : options_(std::move(options)) {
  if (is_folder()) folder_ = std::make_unique<io::FolderStore>(options_.folder);
}

io::ObjectStore& Archives::store_for_reading() {
  if (!is_folder()) return *options_.store;
  Destination::open_for_reading(options_.folder, kTier);
  return *folder_;
}

std::vector<Snapshot> Archives::list() { return internal::list_archives(store_for_reading()); }

std::unique_ptr<SnapshotWriter> Archives::begin(Time now, Progress& progress) {
  return internal::begin_archive(options_, is_folder() ? *folder_ : *options_.store, now, progress);
}

void Archives::read(const std::string& id, const Selection& selection, Sink& sink, Progress& progress,
                    const OnDamage& on_damage) {
  io::ObjectStore& store = store_for_reading();
  const ArchiveDescription description = require(store, id);
  const OpenArchive archive(options_, store, description, selection.paths.empty(), progress);
  WithoutListing others(sink);
  if (!archive.fault().empty() && !on_damage) throw Error(Errc::corrupt, archive.fault());
  archive.reader().read(selection, others, progress, on_damage);
  ModelRestore(options_, store, sink, progress, on_damage).run(description, selection);
}

std::vector<std::pair<Entry, Counts>> Archives::entries(const std::string& id) {
  io::ObjectStore& store = store_for_reading();
  const ArchiveDescription description = require(store, id);
  auto all = OpenArchive(options_, store, description, false, no_progress()).reader().entries();
  std::erase_if(all, [](const auto& entry) { return entry.first.path == internal::kModelListing; });
  for (const ModelFile& model : description.models) all.emplace_back(model.entry, Counts{});
  return all;
}

VerifyReport Archives::verify(const VerifyOptions& options, Progress& progress) {
  io::ObjectStore& store = store_for_reading();
  std::vector<std::string> ids = internal::ids_of(store.list("system-")).described;
  if (options.snapshot) {
    if (std::find(ids.begin(), ids.end(), *options.snapshot) == ids.end()) require(store, *options.snapshot);
    ids = {*options.snapshot};
  }
  return internal::verify_archives(options_, store, ids, options, progress);
}

PruneReport Archives::prune(const Retention& retention, Time now, bool dry_run) {
  io::ObjectStore& store = store_for_reading();
  internal::ArchivesLock lock;
  if (!dry_run) {
    internal::prepare_scratch(options_.scratch);
    lock = internal::lock_archives(options_);
  }
  PruneReport report;
  std::vector<Snapshot> snapshots = internal::list_archives(store);
  const std::vector<Kept> fates = kept(snapshots, retention, now);
  for (std::size_t i = 0; i < snapshots.size(); ++i)
    (fates[i].stays ? report.stayed : report.removed).push_back(std::move(snapshots[i]));
  Sweep sweep(store, report.removed);
  report.freed_bytes = sweep.bytes();
  if (dry_run) return report;
  sweep.run();
  if (is_folder()) {
    io::remove_stale(options_.folder);
    io::remove_stale(options_.folder / internal::kModels);
  }
  return report;
}

}  // namespace reef::backup
