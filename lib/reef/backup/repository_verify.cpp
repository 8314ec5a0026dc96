#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "reef/backup/internal/fault_trace.h"
#include "reef/backup/internal/pack_check.h"
#include "reef/backup/internal/snapshot_folder.h"
#include "reef/backup/internal/stored_file.h"
#include "reef/backup/internal/tree_marks.h"
#include "reef/backup/repository.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"

namespace reef::backup {
namespace {

using internal::BlockRef;
using internal::Checks;
using internal::PackFault;
using internal::Packs;
using internal::SnapshotFile;
using internal::SnapshotFolder;

constexpr int kTier = 1;
constexpr std::uint32_t kAllBlocks = UINT32_MAX;
/// For a run to end that writes: what took minutes to find out is worth it.
constexpr std::chrono::seconds kWaitToRemember{60};

class Verifier {
 public:
  Verifier(const fs::path& folder, const VerifyOptions& options, unsigned threads)
      : folder_(folder), options_(options), threads_(threads), snapshots_(folder), packs_(folder) {}

  VerifyReport run(const std::string& marker_fault, Progress& progress) {
    if (!marker_fault.empty()) report_.faults.push_back({kDestinationMarker, marker_fault, {}, {}});
    check_checks();
    read_descriptions();
    internal::TreeMarks marks(
        packs_, [this](const auto& node, const auto& path, const auto& what) { lose(node, path, what); },
        [this](const internal::StoredEntry& stored) { check_file(stored); });
    for (const SnapshotFile& snapshot : read_) marks.mark(snapshot);
    check_contents(marks, progress);
    check_references(marks);
    explain_lost();
    trace();
    return report_;
  }

  bool is_full() const { return options_.sample >= 1; }
  bool is_of_all() const { return !options_.snapshot; }
  /// Blocks that must not be built upon.
  const std::vector<PackFault>& pack_faults() const { return pack_faults_; }
  const std::vector<std::string>& checked() const { return checked_; }

 private:
  void check_checks() {
    try {
      internal::read_checks(snapshots_.checks_path());
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      report_.faults.push_back(
          {internal::kChecksFile, fmt::format("what was verified is not known any more: {}", error.what()), {}, {}});
    }
  }

  void read_descriptions() {
    const std::vector<std::string> ids =
        options_.snapshot ? std::vector<std::string>{*options_.snapshot} : snapshots_.ids();
    for (const std::string& id : ids) {
      try {
        read_.push_back(snapshots_.read(id));
        report_.files += read_.back().snapshot.files;
      } catch (const Error& error) {
        if (error.code() == Errc::not_found && is_of_all()) continue;  // removed since
        if (error.code() != Errc::corrupt) throw;
        report_.faults.push_back({SnapshotFolder::name_of(id), error.what(), {id}, {}});
      }
      ++report_.snapshots;
      checked_.push_back(id);
    }
  }

  void lose(const BlockRef& node, const std::string& path, const std::string& what) {
    lost_.push_back({node, fmt::format("{} is lost: {}", path.empty() ? "a tree" : io::shown(path), what)});
  }

  /// Whether the blocks of a file are those of which it was made. What cannot be read is told elsewhere.
  void check_file(const internal::StoredEntry& stored) {
    const internal::StoredContent& content = stored.content;
    if (!contents_.insert(io::xxh3(as_bytes(internal::to_bytes({}, {}, content)))).second) return;
    try {
      const internal::StoredFile file(packs_, stored);
    } catch (const internal::OtherBlocks& error) {
      lose(content.lists.empty() ? first_of(content.runs) : content.lists.front().at, stored.entry.path, error.what());
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
    }
  }

  static std::span<const std::uint8_t> as_bytes(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  }
  static BlockRef first_of(const std::vector<internal::BlockRun>& runs) {
    const auto run = std::find_if(runs.begin(), runs.end(), [](const auto& one) { return one.pack != 0; });
    return run == runs.end() ? BlockRef{} : BlockRef{run->pack, run->first};
  }

  void check_contents(const internal::TreeMarks& marks, Progress& progress) {
    internal::PackCheckOptions options;
    options.sample = options_.sample;
    options.threads = options_.threads > 0 ? options_.threads : threads_;
    std::vector<std::uint32_t> numbers = packs_.numbers();
    if (!is_of_all()) {
      options.wanted = [&](std::uint32_t pack, std::uint32_t block) { return marks.is_used(pack, block); };
      std::erase_if(numbers, [&](std::uint32_t number) { return marks.used().count(number) == 0; });
    }
    internal::PackCheckReport found = check_packs(packs_, numbers, options, progress);
    report_.bytes = found.bytes;
    pack_faults_ = std::move(found.faults);
    std::unordered_set<std::uint32_t> there(numbers.begin(), numbers.end());
    for (const auto& [pack, blocks] : marks.used()) {
      if (there.count(pack) == 0) pack_faults_.push_back({pack, "it is missing", 0, kAllBlocks, true});
    }
  }

  /// Blocks that snapshots need and a pack does not have.
  void check_references(const internal::TreeMarks& marks) {
    std::vector<internal::StoredBlock> rows;
    for (const auto& [number, used] : marks.used()) {
      std::shared_ptr<const internal::PackFile> pack;
      try {
        pack = packs_.get(number);
      } catch (const Error& error) {
        if (error.code() == Errc::interrupted) throw;
        continue;  // told already
      }
      for (std::uint32_t first = 0; first < used.size(); first += internal::kPageRows) {
        const auto end = static_cast<std::uint32_t>(std::min<std::size_t>(used.size(), first + internal::kPageRows));
        rows.assign(first < pack->blocks() ? std::min(end, pack->blocks()) - first : 0, {});
        try {
          pack->rows(first, rows);
        } catch (const Error& error) {
          if (error.code() == Errc::interrupted) throw;
          continue;  // told already
        }
        for (std::uint32_t block = first; block < end; ++block) {
          if (!used[block] || (block - first < rows.size() && !rows[block - first].is_dropped())) continue;
          pack_faults_.push_back({number, fmt::format("block {} is needed and not there", block), block, 1, true});
        }
      }
    }
  }

  /// What was lost by nothing that is told already: where only a sample is read, or blocks of two files were mixed up.
  void explain_lost() {
    for (const auto& [block, what] : lost_) {
      const BlockRef& ref = block;
      const bool known = std::any_of(pack_faults_.begin(), pack_faults_.end(), [&](const PackFault& fault) {
        return fault.pack == ref.pack && fault.count > 0 &&
               (fault.count == kAllBlocks || (ref.number >= fault.first && ref.number - fault.first < fault.count));
      });
      if (!known) pack_faults_.push_back({ref.pack, what, ref.number, 1, true});
    }
  }

  void trace() {
    if (pack_faults_.empty()) return;
    internal::FaultTrace tracing(packs_, pack_faults_);
    for (const SnapshotFile& snapshot : read_) {
      if (snapshots_.has(snapshot.snapshot.id)) tracing.trace(snapshot);
    }
    for (Fault& fault : tracing.take(folder_)) report_.faults.push_back(std::move(fault));
  }

  fs::path folder_;
  const VerifyOptions& options_;
  unsigned threads_;
  SnapshotFolder snapshots_;
  Packs packs_;
  VerifyReport report_;
  std::vector<SnapshotFile> read_;
  std::vector<std::string> checked_;
  std::vector<PackFault> pack_faults_;
  std::vector<std::pair<BlockRef, std::string>> lost_;
  std::unordered_set<std::uint64_t> contents_;  ///< that were checked
};

void note_snapshots(Checks& checks, const Verifier& verifier, const VerifyReport& report, Time when) {
  std::unordered_set<std::string> hit;
  for (const Fault& fault : report.faults) hit.insert(fault.snapshots.begin(), fault.snapshots.end());
  for (const std::string& id : verifier.checked()) {
    if (hit.count(id) > 0) {
      Checks::Check& check = checks.snapshots[id];
      if (!check.damaged) check.damaged = when;
    } else if (verifier.is_full()) {
      checks.snapshots[id] = {when, std::nullopt};
    }
  }
}

void note_blocks(Checks& checks, const Verifier& verifier) {
  if (verifier.is_full() && verifier.is_of_all()) checks.bad.clear();
  for (const PackFault& fault : verifier.pack_faults()) {
    if (fault.count == 0 || fault.pack == 0) continue;
    Checks::BadPack& pack = checks.bad[fault.pack];
    pack.all = pack.all || fault.count == kAllBlocks;
    for (std::uint32_t i = 0; fault.count != kAllBlocks && i < fault.count; ++i) pack.blocks.insert(fault.first + i);
  }
}

/// What was found, for list(), prune() and the next run.
void remember(const Destination& destination, const Verifier& verifier, const VerifyReport& report) {
  const SnapshotFolder snapshots(destination.folder());
  Checks checks = snapshots.checks();
  const std::string before = to_bytes(checks);
  std::erase_if(checks.snapshots, [&](const auto& one) { return !snapshots.has(one.first); });
  note_snapshots(checks, verifier, report, now());
  note_blocks(checks, verifier);
  const bool damaged = std::any_of(report.faults.begin(), report.faults.end(),
                                   [](const Fault& fault) { return fault.file == internal::kChecksFile; });
  if (damaged || to_bytes(checks) != before) io::replace_file(snapshots.checks_path(), to_bytes(checks), 0600);
}

}  // namespace

VerifyReport Repository::verify(const VerifyOptions& options, Progress& progress) {
  const Destination destination = Destination::open_for_reading(folder_, kTier);
  Verifier verifier(destination.folder(), options, threads_);
  const VerifyReport report = verifier.run(destination.fault(), progress);
  if (!destination.fault().empty() || ::access(destination.folder().c_str(), W_OK) != 0) return report;
  try {
    DestinationOptions writing = options_;
    writing.wait = std::max<std::chrono::milliseconds>(writing.wait, kWaitToRemember);
    remember(Destination::open_for_writing(folder_, kTier, writing), verifier, report);
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    log_warn("what was verified is not remembered: {}", with_hint(error));
  }
  return report;
}

}  // namespace reef::backup
