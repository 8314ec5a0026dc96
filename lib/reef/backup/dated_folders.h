#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reef/backup/destination.h"
#include "reef/backup/snapshot_store.h"

namespace reef::backup {

/// Tier 2: each snapshot is a folder of plain files, for whoever has no reef at hand.
///
///   2026-11-30T041500Z/          when it was begun; a second later than the newest one where the clock went back
///     tree/…                     the files, with their modes, owners and times; databases are whole by themselves
///     tree.mtree                 what plain files may have lost on their way, as mtree(5) has it (tree_record.h)
///     snapshot.json              what list shows, and the digest of tree.mtree; sealed as a destination's marker is
///     SHA256SUMS                 of all that
///   .2026-11-30T041500Z.checked  what verify found
///
/// `sha256sum -c SHA256SUMS` checks one, `cp -a tree/. /coral-reef` restores it. A file that did not change is a hard
/// link to the one in the newest snapshot, where mode, owner and time are the same too; one that is known to be
/// damaged, or that somebody wrote to, is taken anew. Where a filesystem refuses links, files are copied.
///
/// A snapshot is built in a folder with a temporary name, made durable, and renamed: one that has its name is whole.
/// One is removed by giving it a temporary name first. The next run removes what has one.
class DatedFolders : public SnapshotStore {
 public:
  DatedFolders(fs::path folder, DestinationOptions options)
      : folder_(std::move(folder)), options_(std::move(options)) {}

  static constexpr int kTier = 2;

  std::vector<Snapshot> list() override;
  std::unique_ptr<SnapshotWriter> begin(Time now, Progress& progress) override;
  void read(const std::string& id, const Selection& selection, Sink& sink, Progress& progress,
            const std::function<void(const std::string& path, const std::string& what)>& on_damage = {}) override;
  std::vector<std::pair<Entry, Counts>> entries(const std::string& id) override;
  /// Each file is read once, however many snapshots link it. A sample is of whole files.
  VerifyReport verify(const VerifyOptions& options, Progress& progress) override;
  PruneReport prune(const Retention& retention, Time now, bool dry_run) override;

 private:
  fs::path folder_;
  DestinationOptions options_;
};

}  // namespace reef::backup
