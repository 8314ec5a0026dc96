#include "reef/recover/drill.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "reef/backup/ledger.h"
#include "reef/backup/target_folder.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/recover/internal/remove_tree.h"
#include "reef/tree/folders.h"

namespace reef::recover {
namespace {

namespace fs = std::filesystem;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view kPrefix = ".drill-";

/// A folder to restore into, gone at the end whatever happens.
class Scratch {
 public:
  explicit Scratch(const fs::path& parent) : path_(parent / fmt::format("{}{}", kPrefix, ::getpid())) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(parent, ignored))
      if (entry.path().filename().native().starts_with(kPrefix)) internal::remove_tree(entry.path());
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (!internal::remove_tree(path_)) log_warn("{} cannot be removed", io::shown(path_));
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void require_room(const fs::path& folder, std::uint64_t bytes) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) throw_errno("look at", io::shown(folder));
  const std::uint64_t free = static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
  const std::uint64_t reserve = std::min<std::uint64_t>(
      static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize / 100, std::uint64_t{1} << 30);
  if (free >= reserve && free - reserve >= bytes) return;
  throw Error(Errc::failed,
              fmt::format("{} has {} free, and a drill needs {}", io::shown(folder), format_size(free),
                          format_size(bytes + reserve)),
              "pass --to DIR, a folder with more room");
}

void record(const tree::Tree& tree, const Source& source, milliseconds duration, std::uint64_t bytes, bool sound) {
  backup::update_ledger(tree, source.tier, [&](backup::Ledger& ledger) {
    ledger.drill = backup::Ledger::Drill{now(), source.snapshot.id, duration, bytes, sound};
  });
}

}  // namespace

double DrillReport::bytes_per_second() const {
  return static_cast<double>(bytes) * 1000 / static_cast<double>(std::max<std::int64_t>(restored_in.count(), 1));
}

DrillReport drill(const tree::Tree& tree, const Source& source, const DrillOptions& options, Progress& progress) {
  const fs::path parent = options.scratch.empty() ? tree.backups() : options.scratch;
  tree::make_folders(tree.backups());
  const io::LockFile lock(tree.backups() / ".drill.lock", options.wait);
  const Scratch scratch(parent);
  require_room(parent, source.snapshot.size_bytes);

  DrillReport report;
  report.tier = source.tier;
  report.destination = source.destination;
  report.snapshot = source.snapshot;
  const auto start = steady_clock::now();
  try {
    backup::TargetFolder target(scratch.path(), {.replace = false, .threads = std::max(options.threads, 1U)});
    source.store->read(source.snapshot.id, {}, target, progress);
    report.bytes = target.finish().bytes;
  } catch (const Error& error) {
    if (error.code() == Errc::corrupt)
      record(tree, source, duration_cast<milliseconds>(steady_clock::now() - start), report.bytes, false);
    throw;
  }
  const auto restored = steady_clock::now();
  report.restored_in = duration_cast<milliseconds>(restored - start);
  report.check = check(scratch.path(), source.store->entries(source.snapshot.id), options.threads, progress);
  report.checked_in = duration_cast<milliseconds>(steady_clock::now() - restored);
  record(tree, source, report.restored_in + report.checked_in, report.bytes, report.check.is_sound());
  return report;
}

}  // namespace reef::recover
