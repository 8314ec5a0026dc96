#include "reef/backup/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "reef/backup/internal/snapshot_folder.h"
#include "reef/backup/internal/tree_reader.h"
#include "reef/backup/internal/tree_writer.h"
#include "reef/core/error.h"

namespace reef::backup {

using internal::Packs;
using internal::SnapshotFile;
using internal::SnapshotFolder;

namespace {

constexpr int kTier = 1;
/// More would wait for one another: what they find goes into the packs in order.
constexpr unsigned kMostThreads = 8;

/// A reader has no lock. What it misses of a snapshot that prune() has removed meanwhile is no damage.
[[noreturn]] void rethrow_unless_removed(const SnapshotFolder& snapshots, const std::string& id) {
  if (snapshots.has(id)) throw;
  throw Error(Errc::not_found, fmt::format("snapshot {} was removed while it was read", id),
              "'reef-backup list' shows those that there are");
}

}  // namespace

Repository::Repository(fs::path folder, DestinationOptions options, unsigned threads)
    : folder_(std::move(folder)),
      options_(std::move(options)),
      threads_(threads > 0 ? threads : std::clamp(std::thread::hardware_concurrency(), 1U, kMostThreads)) {}

std::vector<Snapshot> Repository::list() {
  return SnapshotFolder(Destination::open_for_reading(folder_, kTier).folder()).list();
}

std::unique_ptr<SnapshotWriter> Repository::begin(Time now, Progress& progress) {
  return std::make_unique<internal::TreeWriter>(Destination::open_for_writing(folder_, kTier, options_), now, threads_,
                                                progress);
}

void Repository::read(const std::string& id, const Selection& selection, Sink& sink, Progress& progress,
                      const std::function<void(const std::string& path, const std::string& what)>& on_damage) {
  const SnapshotFolder snapshots(Destination::open_for_reading(folder_, kTier).folder());
  Packs packs(folder_);
  const SnapshotFile snapshot = snapshots.read(id);
  progress.begin("restoring", selection.paths.empty() ? snapshot.snapshot.size_bytes : 0, ProgressUnit::bytes);
  try {
    internal::TreeReader(packs, snapshot, selection, sink, progress, on_damage).read();
  } catch (...) {
    rethrow_unless_removed(snapshots, id);
  }
  progress.end();
}

std::vector<std::pair<Entry, Counts>> Repository::entries(const std::string& id) {
  const SnapshotFolder snapshots(Destination::open_for_reading(folder_, kTier).folder());
  Packs packs(folder_);
  const SnapshotFile snapshot = snapshots.read(id);
  std::vector<std::pair<Entry, Counts>> all;
  try {
    internal::for_each_entry(packs, snapshot, {}, [&](const internal::StoredEntry& stored) {
      all.emplace_back(stored.entry, stored.counts);
    });
  } catch (...) {
    rethrow_unless_removed(snapshots, id);
  }
  return all;
}

}  // namespace reef::backup
