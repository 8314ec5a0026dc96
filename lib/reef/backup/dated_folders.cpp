#include "reef/backup/dated_folders.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "reef/backup/internal/dated_files.h"
#include "reef/backup/internal/dated_verify.h"
#include "reef/backup/internal/dated_writer.h"
#include "reef/backup/internal/file_content.h"
#include "reef/backup/internal/folder_walk.h"
#include "reef/backup/internal/remove_tree.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"

namespace reef::backup {
namespace {

using internal::TreeRecord;

Snapshot snapshot_at(const fs::path& destination, const std::string& id) {
  const internal::CheckNote note = internal::read_note(destination, id);
  Snapshot snapshot;
  try {
    snapshot = internal::read_summary(destination / id).snapshot;
    if (note.damaged) snapshot.damaged = note.damaged;
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    snapshot.id = id;
    snapshot.taken = *internal::time_of_id(id);
    snapshot.damaged = note.damaged.value_or(now());
  }
  snapshot.verified = note.verified;
  return snapshot;
}

std::vector<Snapshot> snapshots_at(const fs::path& destination) {
  std::vector<Snapshot> snapshots;
  for (const std::string& id : internal::ids_in(destination)) snapshots.push_back(snapshot_at(destination, id));
  return snapshots;
}

/// The folder of a snapshot that is there.
fs::path require(const Destination& destination, const std::string& id) {
  const std::vector<std::string> ids = internal::ids_in(destination.folder());
  if (std::find(ids.begin(), ids.end(), id) != ids.end()) return destination.folder() / id;
  throw Error(Errc::not_found, fmt::format("{} has no snapshot '{}'", io::shown(destination.folder()), id),
              "'reef-backup list --tier 2' shows those that it has");
}

/// Which entries a selection takes: those that it covers, and the folders above them.
std::vector<bool> chosen(const std::vector<TreeRecord>& records, const Selection& selection) {
  std::vector<bool> taken(records.size());
  std::set<std::string> above;
  for (std::size_t i = 0; i < records.size(); ++i) {
    std::string path = records[i].entry.path;
    if (!selection.covers(path)) continue;
    taken[i] = true;
    while (!path.empty() && above.insert(path).second)
      path.resize(path.find('/') == std::string::npos ? 0 : path.rfind('/'));
    above.insert(std::string());
  }
  for (std::size_t i = 0; i < records.size(); ++i)
    if (records[i].entry.type == EntryType::folder && above.contains(records[i].entry.path)) taken[i] = true;
  return taken;
}

/// Puts entries of a snapshot into a sink.
class Reader {
 public:
  Reader(const fs::path& tree, Sink& sink, Progress& progress,
         const std::function<void(const std::string&, const std::string&)>& on_damage)
      : tree_(tree), walk_(open_tree(tree)), sink_(sink), progress_(progress), on_damage_(on_damage) {}

  void put(const TreeRecord& record) {
    check_interrupt();
    Entry entry = record.entry;
    if (entry.type != EntryType::file) return sink_.put(entry, nullptr);
    const std::string file = entry.same_file_as.empty() ? entry.path : entry.same_file_as;
    // The name that other links refer to may not be selected, or its file damaged: the first that is put stands for it.
    if (const auto put_as = put_as_.find(file); put_as != put_as_.end()) {
      entry.same_file_as = put_as->second;
      return sink_.put(entry, nullptr);
    }
    entry.same_file_as.clear();
    if (sink_.keep(entry) || put_content(entry, record)) put_as_.emplace(file, entry.path);
    progress_.advance(entry.size_bytes);
  }

 private:
  static io::UniqueFd open_tree(const fs::path& tree) {
    return io::open_file(tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }

  bool put_content(const Entry& entry, const TreeRecord& record) {
    std::optional<internal::FileContent> content;
    try {
      const auto names = internal::names_of(entry.path);
      const int parent = names ? walk_.parent_of(*names) : -1;
      const fs::path shown = tree_ / entry.path;
      if (parent < 0)
        throw Error(Errc::corrupt, fmt::format("{} is missing", io::shown(shown)),
                    "restore it from another snapshot; 'reef-backup verify' names all that is missing");
      content.emplace(parent, names->back(), shown, entry.size_bytes, record.digest, record.counts);
    } catch (const Error& error) {
      if (!on_damage_ || error.code() == Errc::interrupted) throw;
      on_damage_(entry.path, error.what());
      return false;
    }
    try {
      sink_.put(entry, &*content);
      return true;
    } catch (const Error& error) {
      if (!on_damage_ || content->fault().empty()) throw;
      on_damage_(entry.path, content->fault());
      return false;
    }
  }

  fs::path tree_;
  internal::FolderWalk walk_;
  Sink& sink_;
  Progress& progress_;
  const std::function<void(const std::string&, const std::string&)>& on_damage_;
  std::unordered_map<std::string, std::string> put_as_;
};

/// What removing snapshots gives back: files that no other snapshot links.
class Freed {
 public:
  void add(const fs::path& folder) {
    std::error_code error;
    using Iterator = fs::recursive_directory_iterator;
    for (Iterator entry(folder, fs::directory_options::skip_permission_denied, error), end; !error && entry != end;
         entry.increment(error)) {
      check_interrupt();
      struct stat status {};
      if (::lstat(entry->path().c_str(), &status) != 0 || S_ISDIR(status.st_mode)) continue;
      constexpr std::uint64_t kBlock = 512;
      if (++names_[{status.st_dev, status.st_ino}] == status.st_nlink)
        bytes_ += static_cast<std::uint64_t>(status.st_blocks) * kBlock;
    }
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::map<std::pair<dev_t, ino_t>, nlink_t> names_;
  std::uint64_t bytes_ = 0;
};

/// Checks of snapshots that are gone.
void remove_notes(const fs::path& destination) {
  for (const fs::directory_entry& entry : fs::directory_iterator(destination)) {
    const std::string name = entry.path().filename().string();
    constexpr std::string_view kEnd = ".checked";
    if (!name.starts_with('.') || !name.ends_with(kEnd) || name.size() <= kEnd.size()) continue;
    const std::string id = name.substr(1, name.size() - 1 - kEnd.size());
    if (internal::time_of_id(id) && !fs::exists(destination / id)) fs::remove(entry.path());
  }
}

}  // namespace

std::vector<Snapshot> DatedFolders::list() {
  return snapshots_at(Destination::open_for_reading(folder_, kTier).folder());
}

std::unique_ptr<SnapshotWriter> DatedFolders::begin(Time now, Progress& /*progress*/) {
  return internal::write_dated(Destination::open_for_writing(folder_, kTier, options_), now);
}

std::vector<std::pair<Entry, Counts>> DatedFolders::entries(const std::string& id) {
  const Destination destination = Destination::open_for_reading(folder_, kTier);
  std::vector<std::pair<Entry, Counts>> entries;
  for (TreeRecord& record : internal::read_records(require(destination, id)))
    entries.emplace_back(std::move(record.entry), std::move(record.counts));
  return entries;
}

void DatedFolders::read(const std::string& id, const Selection& selection, Sink& sink, Progress& progress,
                        const std::function<void(const std::string& path, const std::string& what)>& on_damage) {
  const Destination destination = Destination::open_for_reading(folder_, kTier);
  const fs::path folder = require(destination, id);
  const std::vector<TreeRecord> records = internal::read_records(folder);
  const std::vector<bool> taken = chosen(records, selection);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < records.size(); ++i)
    if (taken[i] && records[i].entry.same_file_as.empty()) bytes += records[i].entry.size_bytes;
  progress.begin("reading", bytes, ProgressUnit::bytes);
  Reader reader(folder / internal::kTreeFolder, sink, progress, on_damage);
  for (std::size_t i = 0; i < records.size(); ++i)
    if (taken[i]) reader.put(records[i]);
  progress.end();
}

VerifyReport DatedFolders::verify(const VerifyOptions& options, Progress& progress) {
  const Destination destination = Destination::open_for_reading(folder_, kTier);
  std::vector<std::string> ids = internal::ids_in(destination.folder());
  if (options.snapshot) {
    require(destination, *options.snapshot);
    ids = {*options.snapshot};
  }
  VerifyReport report = internal::verify_dated(destination.folder(), ids, options, progress);
  if (!destination.fault().empty()) report.faults.push_back({kDestinationMarker, destination.fault(), {}, {}});
  return report;
}

PruneReport DatedFolders::prune(const Retention& retention, Time now, bool dry_run) {
  const Destination destination =
      dry_run ? Destination::open_for_reading(folder_, kTier) : Destination::open_for_writing(folder_, kTier, options_);
  PruneReport report;
  std::vector<Snapshot> snapshots = snapshots_at(destination.folder());
  const std::vector<Kept> fates = kept(snapshots, retention, now);
  Freed freed;
  for (std::size_t i = 0; i < snapshots.size(); ++i) {
    if (!fates[i].stays) freed.add(destination.folder() / snapshots[i].id);
    (fates[i].stays ? report.stayed : report.removed).push_back(std::move(snapshots[i]));
  }
  report.freed_bytes = freed.bytes();
  if (dry_run) return report;
  internal::remove_stale_trees(destination.folder());
  for (const Snapshot& snapshot : report.removed) {
    const fs::path path = destination.folder() / snapshot.id;
    if (!io::rename_new(path, io::temporary_name(path)))
      throw Error(Errc::failed, fmt::format("{} could not be given a temporary name", io::shown(path)),
                  "run the command again");
  }
  io::sync_directory(destination.folder());
  internal::remove_stale_trees(destination.folder());
  remove_notes(destination.folder());
  return report;
}

}  // namespace reef::backup
