#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reef/backup/destination.h"
#include "reef/backup/snapshot_store.h"
#include "reef/io/object_store.h"

namespace reef::backup {

struct ArchivesOptions {
  fs::path folder;                         ///< where they lie; not looked at where there is a `store`
  DestinationOptions destination;          ///< of the folder
  std::shared_ptr<io::ObjectStore> store;  ///< an object store, whose lock is a file in `scratch`: of one tree alone
  /// A folder of the tree that is in no backup, made at need: for what is on its way to or from an object store or age,
  /// and what is known of the models.
  fs::path scratch;
  std::vector<std::string> recipients;  ///< age's public keys; none: archives are not encrypted
  fs::path identity;                    ///< file of a secret key of age's, for reading encrypted archives
  unsigned threads = 0;                 ///< 0: all cores
};

/// Tier 3: each snapshot is one compressed archive, and models are kept once, whatever snapshots have them.
///
///   system-2026-11-30T041500Z.tar.zst      all but the models (archive_writer.h); .age behind it where it is encrypted
///   system-2026-11-30T041500Z.json         what list shows, digests, models (internal/archive_description.h)
///   system-2026-11-30T041500Z.checked.json what verify found
///   models/<sha256>                        a file of a model
///
/// The time is that at which it was begun; a second later than the newest one where the clock went back. Objects appear
/// whole. The description is written last: without one there is no snapshot, and the next prune() removes what is left.
/// It goes first when a snapshot is removed, then its archive, then models that no description names.
///
/// Models are what lies in models/base and models/quantized, and models/adapters too where nothing is encrypted: an
/// adapter may have learned what a persona knows, so it is in the archive then, encrypted as that is. A model's digest
/// is never taken from its manifest, but from its bytes, once for each state of the file.
///
/// Without reef, FROM being the destination:
///
///   zstd -dc $FROM/system-….tar.zst | tar -xpf - -C /coral-reef
///   age -d -i KEY $FROM/system-….tar.zst.age | zstd -dc | tar -xpf - -C /coral-reef
///   cd /coral-reef && while read -r sum path; do cp "$FROM/models/$sum" "$path"; done < models/.sha256sums
///   sha256sum -c models/.sha256sums
class Archives : public SnapshotStore {
 public:
  explicit Archives(ArchivesOptions options);

  static constexpr int kTier = 3;

  std::vector<Snapshot> list() override;
  /// Recipients, and that there is an age, are looked at before anything is written.
  std::unique_ptr<SnapshotWriter> begin(Time now, Progress& progress) override;
  void read(const std::string& id, const Selection& selection, Sink& sink, Progress& progress,
            const std::function<void(const std::string& path, const std::string& what)>& on_damage = {}) override;
  std::vector<std::pair<Entry, Counts>> entries(const std::string& id) override;
  /// An encrypted archive is compared with its digest alone where there is no identity. A sample is of an archive's
  /// frames, and of whole models; of an encrypted archive it is all or nothing.
  VerifyReport verify(const VerifyOptions& options, Progress& progress) override;
  PruneReport prune(const Retention& retention, Time now, bool dry_run) override;

 private:
  bool is_folder() const { return options_.store == nullptr; }
  io::ObjectStore& store_for_reading();

  ArchivesOptions options_;
  std::unique_ptr<io::FolderStore> folder_;
};

}  // namespace reef::backup
