#pragma once

#include <filesystem>

#include "reef/backup/destination.h"
#include "reef/backup/snapshot_store.h"

namespace reef::backup {

/// Tier 1: a folder of blocks of 16 KiB, each stored once.
///
///   .reef-backup, .lock       as every destination has them
///   packs/<8 digits>.pack     blocks of one run and their index; the form is in internal/pack_file.h
///   snapshots/<id>            what a run made of them; the form is in internal/snapshot_file.h, that of the tree which
///   it
///                             names in internal/tree_nodes.h
///   checks                    what verifying found
///
/// Files of a tree change where they are: pages of a database, rows of vectors. So they are cut at multiples of 16 KiB;
/// a block is compared by XXH3 with the one that stood in its place in the newest snapshot, and what differs is named
/// by SHA-256, looked for among all blocks, compressed where that pays, and stored. Blocks of zeros are not stored.
///
/// A run writes its packs, makes them durable, and names them in a snapshot last. It makes a snapshot too where nothing
/// changed, of some 150 bytes: what was so at 10:00 was seen to be so at 10:15, and can be asked for. Packs are never
/// changed; prune() removes those that no snapshot needs, and puts a smaller one in the place of one that holds little
/// else. A reader needs no lock: whoever reads a snapshot that is removed meanwhile is told so.
///
/// What verify() found damaged is not built upon: the next run stores it anew, as far as the source still has it.
class Repository : public SnapshotStore {
 public:
  /// `options` are for what writes. `threads` is how many read and hash; 0: one a core, eight at most.
  Repository(fs::path folder, DestinationOptions options, unsigned threads = 0);

  std::vector<Snapshot> list() override;
  std::unique_ptr<SnapshotWriter> begin(Time now, Progress& progress) override;
  void read(const std::string& id, const Selection& selection, Sink& sink, Progress& progress,
            const std::function<void(const std::string& path, const std::string& what)>& on_damage = {}) override;
  std::vector<std::pair<Entry, Counts>> entries(const std::string& id) override;
  VerifyReport verify(const VerifyOptions& options, Progress& progress) override;
  PruneReport prune(const Retention& retention, Time now, bool dry_run) override;

 private:
  fs::path folder_;
  DestinationOptions options_;
  unsigned threads_;
};

}  // namespace reef::backup
