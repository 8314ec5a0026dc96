#include "reef/backup/run.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "reef/backup/destination.h"
#include "reef/backup/ledger.h"
#include "reef/tree/persona_change.h"

namespace reef::backup {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

milliseconds since(steady_clock::time_point start) { return duration_cast<milliseconds>(steady_clock::now() - start); }

bool is_same_filesystem(const std::string& destination, const fs::path& root) {
  struct stat there {};
  struct stat here {};
  return ::stat(destination.c_str(), &there) == 0 && ::stat(root.c_str(), &here) == 0 && there.st_dev == here.st_dev;
}

/// What the tree remembers is of the destination that it is configured with: a run to another one, by hand, must not
/// make the next one take an unmounted folder for a new drive.
bool is_remembered(const tree::Tree& tree, const tree::Config& config, int tier, const std::string& destination) {
  const std::string configured = destination_of(tree, config, tier);
  return configured.empty() || configured == destination;
}

/// Tells whether the content of any file was taken, rather than kept from the newest snapshot.
class WatchedWriter : public SnapshotWriter {
 public:
  explicit WatchedWriter(std::unique_ptr<SnapshotWriter> writer) : writer_(std::move(writer)) {}

  bool keep(const Entry& entry) override { return writer_->keep(entry); }
  void put(const Entry& entry, Content* content) override {
    writer_->put(entry, content);
    taken_ = taken_ || content != nullptr;
  }
  void note_changed(const std::string& path) override { writer_->note_changed(path); }
  void note_damaged(const std::string& path, const std::string& what) override { writer_->note_damaged(path, what); }
  Snapshot commit() override { return writer_->commit(); }

  bool has_taken() const { return taken_; }

 private:
  std::unique_ptr<SnapshotWriter> writer_;
  bool taken_ = false;
};

/// Whether the newest snapshot holds as many files as the one before it.
bool is_as_many(SnapshotStore& store) {
  const auto all = store.list();
  return all.size() > 1 && all[all.size() - 1].files == all[all.size() - 2].files;
}

/// A persona that is half renamed is in the snapshot as it is, with the record by which reef-persona ends the change.
void note_pending_change(const tree::Tree& tree, CaptureReport& report) {
  const std::string file = tree::change_file(tree).filename().string();
  try {
    const auto change = tree::pending_change(tree);
    if (!change) return;
    report.problems.push_back(
        {file,
         fmt::format("the {} of persona {}, begun {}, is not ended: the snapshot holds it half done",
                     tree::kind_name(change->kind), change->persona, change->began),
         fmt::format("run that 'reef-persona {}' again, which ends it", tree::kind_name(change->kind))});
  } catch (const Error& error) {
    report.problems.push_back({file, error.what(), error.hint()});
  }
}

std::string id_of(const std::string& destination, int tier) {
  return destination.starts_with("s3://") ? "" : Destination::open_for_reading(destination, tier).id();
}

}  // namespace

RunReport run(const tree::Tree& tree, const tree::Config& config, const RunOptions& options, Progress& progress) {
  const Retention retention = retention_of(config, options.tier);  // refused before anything is written
  RunReport report;
  report.tier = options.tier;
  report.destination = destination_of(tree, config, options.tier, options.store.to);
  const auto store = open_store(tree, config, options.tier, options.store);
  report.is_new = read_ledger(tree, options.tier).destination != report.destination;
  const auto start = steady_clock::now();
  {
    WatchedWriter writer(store->begin(now(), no_progress()));  // capture() tells of all that is read
    CaptureOptions what;
    what.check_databases = options.tier > 1;  // a second for 600 MB, which a run every 15 minutes need not spend
    report.capture = capture(tree, options.tier, writer, what, progress);
    note_pending_change(tree, report.capture);
    report.snapshot = writer.commit();
    report.changed = writer.has_taken();
  }
  report.duration = since(start);
  report.changed = report.changed || !is_as_many(*store);
  report.same_filesystem = is_same_filesystem(report.destination, tree.root());
  if (is_remembered(tree, config, options.tier, report.destination)) {
    const std::string id = id_of(report.destination, options.tier);
    update_ledger(tree, options.tier, [&](Ledger& ledger) {
      ledger.destination = report.destination;
      ledger.id = id;
      ledger.newest =
          Ledger::Newest{report.snapshot.id, report.snapshot.taken, report.duration, report.snapshot.added_bytes};
    });
  }
  if (!options.prune) return report;
  try {
    report.pruned = store->prune(retention, now(), false);
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    report.prune_failure = error;
  }
  return report;
}

TierVerified verify(const tree::Tree& tree, const tree::Config& config, int tier, const StoreOptions& store,
                    const VerifyOptions& options, Progress& progress) {
  TierVerified verified;
  verified.tier = tier;
  verified.destination = destination_of(tree, config, tier, store.to);
  verified.sample = options.sample;
  const auto start = steady_clock::now();
  verified.report = open_store(tree, config, tier, store)->verify(options, progress);
  verified.duration = since(start);
  const bool whole = !options.snapshot && options.sample >= 1;
  if (whole && is_remembered(tree, config, tier, verified.destination))
    update_ledger(tree, tier, [&](Ledger& ledger) {
      ledger.verify = Ledger::Verify{now(), verified.report.snapshots, verified.report.faults.size()};
    });
  return verified;
}

TierPruned prune(const tree::Tree& tree, const tree::Config& config, int tier, const StoreOptions& store,
                 bool dry_run) {
  TierPruned pruned;
  pruned.tier = tier;
  pruned.destination = destination_of(tree, config, tier, store.to);
  pruned.dry_run = dry_run;
  const Retention retention = retention_of(config, tier);
  const auto snapshots = open_store(tree, config, tier, store);
  pruned.report = snapshots->prune(retention, now(), dry_run);
  if (dry_run) {
    // Of all of them, as the store saw them: what stays tells why.
    const auto all = snapshots->list();
    const auto reasons = kept(all, retention, now());
    for (std::size_t i = 0; i < all.size(); ++i)
      if (reasons[i].stays) pruned.why.push_back(reasons[i]);
    if (pruned.why.size() != pruned.report.stayed.size()) pruned.why.clear();
  }
  return pruned;
}

}  // namespace reef::backup
