#include "reef/recover/system.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "reef/backup/target_folder.h"
#include "reef/core/error.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/recover/internal/forecast.h"
#include "reef/recover/rebuild.h"

namespace reef::recover {
namespace {

namespace fs = std::filesystem;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// What a mount point and the way to an object store leave in a folder that is to become a tree.
bool is_nothing(const fs::directory_entry& entry) {
  if (entry.path().filename() == "lost+found") return true;
  if (entry.path().filename() != "data" || !entry.is_directory()) return false;
  return std::all_of(fs::directory_iterator(entry.path()), fs::directory_iterator(),
                     [](const fs::directory_entry& below) { return below.path().filename() == "backups"; });
}

void require_empty(const fs::path& to) {
  std::error_code error;
  if (!fs::exists(to, error)) return;
  const auto all = fs::directory_iterator(to, error);
  if (error)
    throw Error(Errc::usage, fmt::format("{}: {}", io::shown(to), error.message()), "name another folder: --to DIR");
  for (const fs::directory_entry& entry : all) {
    if (is_nothing(entry)) continue;
    throw Error(Errc::usage,
                fmt::format("{} is not empty: it holds {}", io::shown(to), io::shown(entry.path().filename())),
                "move it away ('mv DIR DIR.old'), or restore beside it with --to DIR");
  }
}

/// A mount point that was there has its own owner and mode until now.
void take_over_root(const fs::path& to, const Entries& entries) {
  for (const auto& [entry, counts] : entries) {
    if (!entry.path.empty()) continue;
    if (::geteuid() == 0 && ::chown(to.c_str(), entry.uid, entry.gid) != 0)
      throw_errno("set the owner of", io::shown(to));
    if (::chmod(to.c_str(), entry.mode) != 0) throw_errno("set the mode of", io::shown(to));
  }
}

RestoreReport planned(const tree::Tree& tree, const Source& source, const SystemOptions& options,
                      const Entries& entries) {
  RestoreReport report;
  report.scenario = "system";
  report.name = options.to.string();
  report.tier = source.tier;
  report.destination = source.destination;
  report.snapshot = source.snapshot;
  bool models = false;
  for (const auto& [entry, counts] : entries) {
    if (entry.type != backup::EntryType::file) continue;
    ++report.files, report.bytes += entry.size_bytes;
    models = models || entry.path.starts_with("models/base/") || entry.path.starts_with("models/quantized/");
  }
  report.steps = {fmt::format("restore {}, {}, to {}", counted(report.files, "file"), format_size(report.bytes),
                              io::shown(options.to)),
                  "open and check every database, compare the rows that were counted, ask every index",
                  "make again what is derived and does not match"};
  if (!models) report.steps.emplace_back("models are not in it: bring them with 'reef-model fetch --missing'");
  report.expected = internal::expected(tree, source.tier, report.bytes);
  return report;
}

}  // namespace

RestoreReport plan_system(const tree::Tree& tree, const Source& source, const SystemOptions& options) {
  require_empty(options.to);
  RestoreReport report = planned(tree, source, options, source.store->entries(source.snapshot.id));
  report.dry_run = true;
  return report;
}

RestoreReport restore_system(const tree::Tree& tree, const Source& source, const SystemOptions& options,
                             Progress& progress) {
  require_empty(options.to);
  const auto start = steady_clock::now();
  Entries entries = source.store->entries(source.snapshot.id);
  RestoreReport report = planned(tree, source, options, entries);
  bool is_new = false;
  {
    backup::TargetFolder target(options.to, {.replace = false, .threads = std::max(options.threads, 1U)});
    is_new = target.is_new();
    source.store->read(source.snapshot.id, {}, target, progress, [&](const std::string& path, const std::string& what) {
      report.faults.push_back({path, what, "restore this file from another snapshot: 'reef-restore files'", false});
    });
    target.finish();
  }
  if (!is_new) take_over_root(options.to, entries);
  // What was left out is told once.
  std::erase_if(entries, [&](const auto& recorded) {
    return std::any_of(report.faults.begin(), report.faults.end(),
                       [&](const CheckFault& fault) { return fault.file == recorded.first.path; });
  });
  const CheckReport checked = check(options.to, entries, options.threads, progress);
  for (const CheckFault& fault : checked.faults)
    if (!fault.is_derived) report.faults.push_back(fault);
  report.rebuilt = rebuild(tree::Tree::at(options.to), checked, {options.threads, {}}, progress);
  report.applied = true;
  report.duration = duration_cast<milliseconds>(steady_clock::now() - start);
  return report;
}

}  // namespace reef::recover
