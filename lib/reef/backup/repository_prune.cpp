#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <unordered_map>

#include "reef/backup/internal/pack_rewrite.h"
#include "reef/backup/internal/snapshot_folder.h"
#include "reef/backup/internal/tree_marks.h"
#include "reef/backup/repository.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"

namespace reef::backup {
namespace {

using internal::Packs;
using internal::SnapshotFile;
using internal::SnapshotFolder;

constexpr int kTier = 1;
/// What writing a pack anew must win: half of it, and so much.
constexpr std::uint64_t kLeastGain = std::uint64_t{256} << 10;

std::uint64_t size_of(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

void remove_file(const fs::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno("remove", io::shown(path));
}

class Pruner {
 public:
  explicit Pruner(const Destination& destination)
      : destination_(destination),
        snapshots_(destination.folder()),
        packs_(destination.folder()),
        marks_(packs_, [this](const auto&, const auto&, const auto&) { lost_ = true; }) {}

  void plan(const Retention& retention, Time now) {
    const std::vector<Snapshot> all = snapshots_.list();
    const std::vector<Kept> stays = kept(all, retention, now);
    for (std::size_t i = 0; i < all.size(); ++i) (stays[i].stays ? report_.stayed : report_.removed).push_back(all[i]);
    for (const Snapshot& snapshot : report_.removed) report_.freed_bytes += size_of(snapshots_.path_of(snapshot.id));
    mark_staying();
    for (const std::uint32_t number : packs_.numbers()) {
      check_interrupt();
      plan_pack(number);
    }
  }

  /// What is deleted first needs no room; each step leaves a repository that is whole.
  void apply() {
    for (const Snapshot& snapshot : report_.removed) remove_file(snapshots_.path_of(snapshot.id));
    if (!report_.removed.empty()) io::sync_directory(snapshots_.folder());
    for (const std::uint32_t number : removed_packs_) {
      check_interrupt();
      remove_file(packs_.path_of(number));
    }
    if (!removed_packs_.empty()) io::sync_directory(packs_.folder());
    for (const Rewrite& rewrite : rewrites_) {
      if (!apply(rewrite)) report_.freed_bytes -= rewrite.gain;
    }
  }

  const PruneReport& report() const { return report_; }

 private:
  struct Rewrite {
    std::uint32_t pack = 0;
    std::uint64_t gain = 0;
  };

  /// Packs that a staying snapshot may need though its tree cannot be read stay as they are.
  void mark_staying() {
    for (const Snapshot& snapshot : report_.stayed) {
      lost_ = false;
      SnapshotFile file;
      file.next_pack = UINT32_MAX;
      try {
        file = snapshots_.read(snapshot.id);
        marks_.mark(file);
      } catch (const Error& error) {
        if (error.code() != Errc::corrupt) throw;
        lost_ = true;
      }
      if (!lost_) continue;
      untouched_below_ = std::max(untouched_below_, file.next_pack);
      log_warn("snapshot {} is damaged: nothing that it may need is removed", snapshot.id);
    }
  }

  void plan_pack(std::uint32_t number) {
    if (number < untouched_below_) return;
    const auto used = marks_.used().find(number);
    if (used == marks_.used().end()) {
      removed_packs_.push_back(number);
      report_.freed_bytes += size_of(packs_.path_of(number));
      return;
    }
    try {
      const internal::PackUse use = internal::use_of(*packs_.get(number), used->second);
      if (use.new_bytes > use.bytes / 2 || use.bytes - use.new_bytes < kLeastGain) return;
      if (use.new_bytes > destination_.free_bytes() + report_.freed_bytes) return;
      rewrites_.push_back({number, use.bytes - use.new_bytes});
      report_.freed_bytes += use.bytes - use.new_bytes;
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;  // it stays as it is
    }
  }

  bool apply(const Rewrite& rewrite) {
    try {
      return internal::rewrite_pack(*packs_.get(rewrite.pack), marks_.used().at(rewrite.pack),
                                    packs_.path_of(rewrite.pack));
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      log_warn("{} keeps what nobody needs: {}", Packs::name_of(rewrite.pack), with_hint(error));
      return false;
    }
  }

  const Destination& destination_;
  SnapshotFolder snapshots_;
  Packs packs_;
  bool lost_ = false;
  internal::TreeMarks marks_;
  std::uint32_t untouched_below_ = 0;
  std::vector<std::uint32_t> removed_packs_;
  std::vector<Rewrite> rewrites_;
  PruneReport report_;
};

}  // namespace

PruneReport Repository::prune(const Retention& retention, Time now, bool dry_run) {
  const Destination destination =
      dry_run ? Destination::open_for_reading(folder_, kTier) : Destination::open_for_writing(folder_, kTier, options_);
  Pruner pruner(destination);
  pruner.plan(retention, now);
  if (!dry_run) {
    pruner.apply();
    for (const fs::path& folder :
         {destination.folder(), destination.folder() / "packs", destination.folder() / "snapshots"})
      io::remove_stale(folder);
  }
  return pruner.report();
}

}  // namespace reef::backup
