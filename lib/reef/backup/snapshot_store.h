#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/core/progress.h"
#include "reef/core/time.h"

namespace reef::backup {

namespace fs = std::filesystem;

/// One snapshot, as `reef-backup list` shows it.
struct Snapshot {
  std::string id;  ///< ascending with the order of snapshots, also when the clock went back; a valid file name
  Time taken;
  std::uint64_t files = 0;
  std::uint64_t size_bytes = 0;      ///< what a restore writes
  std::uint64_t added_bytes = 0;     ///< by which it made its store grow
  std::optional<Time> verified;      ///< when all of it was last read and found sound
  std::optional<Time> damaged;       ///< when a fault was found in it
  std::vector<std::string> changed;  ///< files that changed while they were read, each time: they may be torn
};

/// Which entries to read: those at or below one of the paths; all where there are none.
struct Selection {
  std::vector<std::string> paths;
  bool covers(const std::string& path) const;
};

struct VerifyOptions {
  std::optional<std::string> snapshot;  ///< all of them otherwise
  double sample = 1;                    ///< the part of the content that is read, chosen anew each time
  unsigned threads = 0;                 ///< 0: all cores
};

struct Fault {
  std::string file;  ///< of the store, relative to it
  std::string what;
  std::vector<std::string> snapshots;  ///< that need what is damaged
  std::vector<std::string> paths;      ///< theirs that cannot be restored whole, without repeats, at most 100
};

struct VerifyReport {
  std::uint64_t snapshots = 0;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::vector<Fault> faults;
};

/// Which snapshots stay, counted from the newest; a snapshot that any rule keeps stays. Periods are UTC's.
struct Retention {
  std::uint64_t last = 0;
  std::optional<std::chrono::milliseconds> within;
  std::uint64_t hourly = 0, daily = 0, weekly = 0, monthly = 0;

  /// Reads the words of backup.tierN.keep: "last 4", "within 24h", "hourly 48", "daily 14", "weekly 8", "monthly 12".
  /// Throws Error{usage} for others, for a word twice, and where nothing would stay.
  static Retention parse(const std::vector<std::string>& words);
};

/// What a retention does with `snapshots`, oldest first: true for each that stays, with the rules that keep it. The
/// newest snapshot and the newest verified one stay whatever the rules say. A damaged one stays where a
/// rule would keep it, and takes no other's place.
struct Kept {
  bool stays = false;
  std::vector<std::string> why;
};
std::vector<Kept> kept(const std::vector<Snapshot>& snapshots, const Retention& retention, Time now);

struct PruneReport {
  std::vector<Snapshot> removed;
  std::vector<Snapshot> stayed;
  std::uint64_t freed_bytes = 0;
};

/// A snapshot in the making: entries are put, and commit() makes it one, or it leaves nothing behind.
class SnapshotWriter : public Sink {
 public:
  /// Names a file that changed while it was read, each time, and was taken all the same.
  virtual void note_changed(const std::string& path) = 0;
  /// Names a file that is damaged, or could not be read, in the tree itself; it may have been put as far as it could be
  /// read. The snapshot is then damaged from its beginning, so that it takes no sound one's place.
  virtual void note_damaged(const std::string& path, const std::string& /*what*/) { note_changed(path); }
  /// Makes the snapshot durable, then visible. Where nothing changed since the newest one, stores may record just that.
  virtual Snapshot commit() = 0;
};

/// The snapshots of one tier at one destination: Repository (tier 1), DatedFolders (tier 2), Archives (tier 3).
/// Readers need no lock and write nothing. Methods throw Error{not_found} for an unknown snapshot, Error{locked} naming
/// the holder where another run writes, Error{corrupt} naming file and place, Error{failed}.
class SnapshotStore {
 public:
  virtual ~SnapshotStore() = default;
  /// Oldest first. A snapshot whose description is damaged is listed as damaged.
  virtual std::vector<Snapshot> list() = 0;
  /// Takes the store's lock until the writer ends.
  virtual std::unique_ptr<SnapshotWriter> begin(Time now, Progress& progress) = 0;
  /// Puts the selected entries, and the folders above them, into `sink`; checks every byte on the way. A damaged file
  /// is Error{corrupt} unless `on_damage` is given: then it is told, and the rest is read.
  virtual void read(const std::string& id, const Selection& selection, Sink& sink, Progress& progress,
                    const std::function<void(const std::string& path, const std::string& what)>& on_damage = {}) = 0;
  /// The entries alone, with the counts recorded for them, in the order in which they were put.
  virtual std::vector<std::pair<Entry, Counts>> entries(const std::string& id) = 0;
  /// Reads and checks. What it finds is remembered in the snapshots' `verified` and `damaged` where the store may be
  /// written to.
  virtual VerifyReport verify(const VerifyOptions& options, Progress& progress) = 0;
  virtual PruneReport prune(const Retention& retention, Time now, bool dry_run) = 0;
};

}  // namespace reef::backup
