#include "reef/model/internal/model_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <thread>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMigrations[] = {
    "CREATE TABLE file (digest TEXT PRIMARY KEY, bytes INTEGER NOT NULL, used INTEGER NOT NULL,"
    " loading INTEGER NOT NULL) STRICT;"
    "CREATE TABLE user (digest TEXT NOT NULL, model TEXT NOT NULL, PRIMARY KEY (digest, model)) STRICT;"
    "CREATE TABLE pin (model TEXT PRIMARY KEY) STRICT;"};
constexpr std::string_view kLoading = ".loading-";
constexpr std::string_view kEvicted = ".evicted-";
constexpr mode_t kBeingWritten = 0640;
constexpr mode_t kWritten = 0440;  ///< it was compared: nobody is to change it
/// What the system is left with when no cap is set and the folder is no filesystem of its own.
constexpr std::uint64_t kMostByDefault = std::uint64_t{32} << 30;

io::Database open_ledger(const fs::path& path) {
  const auto open = [&] {
    io::Database ledger(path, io::OpenMode::create);
    io::migrate(ledger, kMigrations);
    return ledger;
  };
  try {
    return open();
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt) throw;
    log_warn("{}; it is made again", e.what());
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path.string() + suffix);
    return open();
  }
}

std::uint64_t default_cap(const fs::path& folder, bool in_memory) {
  struct statfs space {};
  if (in_memory && ::statfs(folder.c_str(), &space) == 0)
    return std::uint64_t{space.f_blocks} * static_cast<std::uint64_t>(space.f_bsize);
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  return std::min(kMostByDefault, pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 2);
}

std::int64_t stamp(Time time) { return time.time_since_epoch().count(); }
Time from_stamp(std::int64_t milliseconds) { return Time(std::chrono::milliseconds(milliseconds)); }

}  // namespace

/// A file whose name was taken away, and which nobody has.
struct ModelCache::Victim {
  CachedFile file;
  std::unique_ptr<io::ExclusiveLease> lease;  ///< as long as it lives, an open(2) of the file waits
};

ModelCache::ModelCache(const tree::Tree& tree, const tree::Config& config)
    : folder_(tree.model_cache()), lock_file_(tree.cache() / "model_cache.lock") {
  tree::make_folders(folder_);
  ledger_ = open_ledger(tree.cache() / "model_cache.sqlite");
  struct statfs space {};
  in_memory_ = ::statfs(folder_.c_str(), &space) == 0 && space.f_type == TMPFS_MAGIC;
  cap_ = config.size_bytes("system", "cache.model.cap_bytes");
  if (cap_ == 0) cap_ = default_cap(folder_, in_memory_);
  limits_.hot = std::chrono::seconds(config.count("models", "cache.hot_seconds"));
  limits_.warm = std::chrono::seconds(config.count("models", "cache.warm_seconds"));
  pinned_by_config_.push_back(config.text("models", "default_embedding"));
  for (const std::string& name : config.names("models", "models"))
    if (config.flag("models", fmt::format("models.{}.pinned", name))) pinned_by_config_.push_back(name);
}

bool ModelCache::is_whole(const std::string& digest, std::uint64_t bytes) const {
  struct stat status {};
  return ::lstat(file(digest).c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         static_cast<std::uint64_t>(status.st_size) == bytes;
}

bool ModelCache::attach(const std::string& digest, std::uint64_t bytes, const std::string& model) {
  if (!is_whole(digest, bytes)) return false;
  io::Transaction transaction(ledger_);
  if (!is_whole(digest, bytes)) return false;  // it went before the transaction began
  ledger_.prepare("INSERT INTO file VALUES (?1, ?2, ?3, 0) ON CONFLICT DO UPDATE SET used = ?3")
      .bind(1, digest)
      .bind(2, static_cast<std::int64_t>(bytes))
      .bind(3, stamp(now()))
      .run();
  ledger_.prepare("INSERT OR IGNORE INTO user VALUES (?, ?)").bind(1, digest).bind(2, model).run();
  transaction.commit();
  return true;
}

/// What killed runs left, put right: called in a transaction, which keeps other evictions out. `own` is the digest that
/// the caller has locked.
void ModelCache::recover(const std::string& own) {
  const auto is_dead = [&](const std::string& digest) {
    return digest == own || !io::KeyLock::is_held(lock_file_, digest);
  };
  std::vector<std::string> digests;
  io::Statement rows = ledger_.prepare("SELECT digest FROM file WHERE loading = 1");
  while (rows.step()) digests.emplace_back(rows.text(0));
  for (const std::string& digest : digests)
    if (is_dead(digest)) forget(digest);
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename();
    std::error_code ignored;
    if (name.starts_with(kLoading)) {
      if (is_dead(name.substr(kLoading.size()))) fs::remove(entry.path(), ignored);
    } else if (name.starts_with(kEvicted)) {
      if (!io::rename_new(entry.path(), file(name.substr(kEvicted.size())))) fs::remove(entry.path(), ignored);
    }
  }
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename();
    if (name.starts_with('.') || !fs::is_regular_file(entry.symlink_status())) continue;
    ledger_
        .prepare("INSERT OR IGNORE INTO file VALUES (?, ?, ?, 0)")  // of a ledger that was lost
        .bind(1, name)
        .bind(2, static_cast<std::int64_t>(entry.file_size()))
        .bind(3, std::int64_t{0})
        .run();
  }
}

void ModelCache::forget(const std::string& digest) {
  ledger_.prepare("DELETE FROM file WHERE digest = ?").bind(1, digest).run();
  ledger_.prepare("DELETE FROM user WHERE digest = ?").bind(1, digest).run();
}

Time ModelCache::last_use(const std::string& digest, Time noted) const {
  struct stat status {};
  if (::lstat(file(digest).c_str(), &status) != 0) return noted;
  const auto since_epoch =
      std::chrono::seconds(status.st_atim.tv_sec) + std::chrono::nanoseconds(status.st_atim.tv_nsec);
  return std::max(noted, Time(std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch)));
}

std::vector<std::string> ModelCache::pins() {
  std::vector<std::string> names = pinned_by_config_;
  io::Statement rows = ledger_.prepare("SELECT model FROM pin");
  while (rows.step()) names.emplace_back(rows.text(0));
  return names;
}

void ModelCache::pin(const std::string& model) {
  ledger_.prepare("INSERT OR IGNORE INTO pin VALUES (?)").bind(1, model).run();
}

void ModelCache::unpin(const std::string& model) {
  ledger_.prepare("DELETE FROM pin WHERE model = ?").bind(1, model).run();
}

std::vector<ModelCache::Entry> ModelCache::entries(bool asks) {
  const std::vector<std::string> pinned = pins();
  std::vector<Entry> all;
  io::Statement rows = ledger_.prepare("SELECT digest, bytes, used, loading FROM file");
  while (rows.step()) {
    Entry entry;
    entry.file = {std::string(rows.text(0)), static_cast<std::uint64_t>(rows.integer(1)), from_stamp(rows.integer(2)),
                  false};
    entry.is_loading = rows.integer(3) != 0;
    if (!entry.is_loading && !is_whole(entry.file.digest, entry.file.bytes))
      continue;  // after a restart of the machine
    if (!entry.is_loading) entry.file.used = last_use(entry.file.digest, entry.file.used);
    io::Statement users = ledger_.prepare("SELECT model FROM user WHERE digest = ? ORDER BY model");
    users.bind(1, entry.file.digest);
    while (users.step()) entry.models.emplace_back(users.text(0));
    const auto is_pinned = [&](const std::string& model) {
      // A pin names a model with or without its folder.
      return std::any_of(pinned.begin(), pinned.end(), [&](const std::string& pin) {
        return pin == model || pin == model.substr(model.find('/') + 1);
      });
    };
    entry.file.is_pinned = std::any_of(entry.models.begin(), entry.models.end(), is_pinned);
    if (asks && !entry.is_loading)
      entry.is_in_use = io::ExclusiveLease(file(entry.file.digest)).state() != io::ExclusiveLease::State::held;
    all.push_back(std::move(entry));
  }
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) {
    return a.file.used != b.file.used ? a.file.used > b.file.used : a.file.digest < b.file.digest;
  });
  return all;
}

/// A file that is in use keeps its name all the time. Of others the lease comes first, then the name goes; who looked
/// it up in between waits in open(2), and the file is put back.
std::optional<ModelCache::Victim> ModelCache::take_away(const CachedFile& file_entry) {
  const fs::path path = file(file_entry.digest);
  if (in_memory_) ::chmod(path.c_str(), kBeingWritten);  // or its owner could not write through the lease
  Victim victim{file_entry, std::make_unique<io::ExclusiveLease>(path, in_memory_)};
  if (in_memory_) ::chmod(path.c_str(), kWritten);
  if (!victim.lease->is_held()) return std::nullopt;
  const fs::path aside = folder_ / fmt::format("{}{}", kEvicted, file_entry.digest);
  if (::rename(path.c_str(), aside.c_str()) != 0) return std::nullopt;
  if (!victim.lease->is_wanted()) return victim;
  put_back(victim);
  return std::nullopt;
}

void ModelCache::put_back(const Victim& victim) {
  const fs::path aside = folder_ / fmt::format("{}{}", kEvicted, victim.file.digest);
  if (!io::rename_new(aside, file(victim.file.digest))) {
    std::error_code ignored;
    fs::remove(aside, ignored);  // a fresh copy came meanwhile
  }
}

/// Takes away what may go until `needed` bytes are free, or puts all back and throws.
std::vector<ModelCache::Victim> ModelCache::evict_for(std::uint64_t needed, const std::string& model) {
  std::vector<CachedFile> files;
  for (const Entry& entry : entries(false))
    if (!entry.is_loading) files.push_back(entry.file);
  std::vector<Victim> victims;
  std::uint64_t freed = 0, possible = 0;
  files = eviction_order(std::move(files), now(), limits_);
  for (const CachedFile& candidate : files) possible += candidate.bytes;
  if (possible < needed) fail_full(needed, model);
  for (const CachedFile& candidate : files) {
    if (freed >= needed) break;
    auto victim = take_away(candidate);
    if (!victim) continue;
    freed += candidate.bytes;
    victims.push_back(std::move(*victim));
  }
  if (freed >= needed) return victims;
  for (Victim& victim : victims) {
    put_back(victim);
    victim.lease.reset();
  }
  fail_full(needed, model);
}

void ModelCache::fail_full(std::uint64_t bytes, const std::string& model) {
  std::string stays;
  for (const Entry& entry : entries(true)) {
    const CacheTier tier = tier_of(entry.file.used, now(), limits_);
    std::string why = entry.is_loading         ? "is being loaded"
                      : entry.file.is_pinned   ? "is pinned"
                      : entry.is_in_use        ? "is in use"
                      : tier == CacheTier::hot ? fmt::format("was used less than {} ago", format_duration(limits_.hot))
                                               : "";
    if (why.empty()) continue;
    const auto holders = entry.is_in_use ? holders_of(file(entry.file.digest)) : std::vector<std::string>();
    if (!holders.empty()) why += fmt::format(" by {}", fmt::join(holders, ", "));
    const std::string name = entry.models.empty() ? entry.file.digest.substr(0, 12) : entry.models.front();
    stays += fmt::format("{}{} ({}) {}", stays.empty() ? "" : "; ", name, format_size(entry.file.bytes), why);
  }
  throw Error(Errc::failed,
              fmt::format("the model cache has no room for {}: {} more are needed, and too little may go: {}", model,
                          format_size(bytes), stays.empty() ? "it is empty" : stays),
              "end a program that uses one, 'reef-model cache unpin' one, raise cache.model.cap_bytes, or load with "
              "--strategy mmap");
}

void ModelCache::Reservation::start_afresh() {
  if (!recycled) return;
  // Empty, so that whoever comes too late sees an error in place of another model.
  [[maybe_unused]] const int ignored = ::ftruncate(recycled->fd(), 0);
  ::unlink(target.c_str());
  recycled.reset();
}

std::optional<ModelCache::Reservation> ModelCache::reserve(const std::string& digest, std::uint64_t bytes,
                                                           const std::string& model) {
  io::Transaction transaction(ledger_);
  recover(digest);
  if (is_whole(digest, bytes)) return std::nullopt;  // an eviction had it aside for a moment
  std::uint64_t used = 0;
  for (const Entry& entry : entries(false)) used += entry.file.bytes;
  std::uint64_t needed = used + bytes > cap_ ? used + bytes - cap_ : 0;
  struct statfs space {};
  if (::statfs(folder_.c_str(), &space) == 0) {  // others may have filled the filesystem
    const std::uint64_t free = std::uint64_t{space.f_bavail} * static_cast<std::uint64_t>(space.f_bsize);
    needed = std::max(needed, bytes > free ? bytes - free : 0);
  }
  std::vector<Victim> victims;
  if (needed > 0) victims = evict_for(needed, model);
  Reservation reservation{folder_ / fmt::format("{}{}", kLoading, digest)};
  // Those who looked a name up just before it went are in open(2) by now.
  if (in_memory_ && !victims.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  for (Victim& victim : victims) {
    const fs::path aside = folder_ / fmt::format("{}{}", kEvicted, victim.file.digest);
    if (in_memory_ && !reservation.recycled && !victim.lease->is_wanted() &&
        ::rename(aside.c_str(), reservation.target.c_str()) == 0) {
      reservation.recycled = std::move(victim.lease);
    } else {
      fs::remove(aside);
    }
    forget(victim.file.digest);
  }
  ledger_.prepare("INSERT OR REPLACE INTO file VALUES (?, ?, ?, 1)")
      .bind(1, digest)
      .bind(2, static_cast<std::int64_t>(bytes))
      .bind(3, stamp(now()))
      .run();
  ledger_.prepare("INSERT OR IGNORE INTO user VALUES (?, ?)").bind(1, digest).bind(2, model).run();
  transaction.commit();
  return reservation;
}

void ModelCache::publish(const std::string& digest) {
  io::Transaction transaction(ledger_);
  const fs::path written = folder_ / fmt::format("{}{}", kLoading, digest);
  if (::chmod(written.c_str(), kWritten) != 0 || ::rename(written.c_str(), file(digest).c_str()) != 0)
    throw_errno("rename", io::shown(file(digest)));
  ledger_.prepare("UPDATE file SET loading = 0, used = ? WHERE digest = ?").bind(1, stamp(now())).bind(2, digest).run();
  transaction.commit();
}

void ModelCache::abandon(const std::string& digest) noexcept {
  try {
    std::error_code ignored;
    fs::remove(folder_ / fmt::format("{}{}", kLoading, digest), ignored);
    io::Transaction transaction(ledger_);
    ledger_
        .prepare("DELETE FROM user WHERE digest = ?1 AND EXISTS (SELECT 1 FROM file WHERE digest = ?1 AND loading = 1)")
        .bind(1, digest)
        .run();
    ledger_.prepare("DELETE FROM file WHERE digest = ? AND loading = 1").bind(1, digest).run();
    transaction.commit();
  } catch (const std::exception& e) {
    log_detail("{}", e.what());  // the next reservation finds that nobody holds the lock
  }
}

void ModelCache::put_right() {
  io::Transaction transaction(ledger_);
  recover({});
  transaction.commit();
}

bool ModelCache::evict(const std::string& digest) {
  io::Transaction transaction(ledger_);
  recover({});
  if (!fs::exists(fs::symlink_status(file(digest)))) return true;
  CachedFile entry;
  entry.digest = digest;
  const auto victim = take_away(entry);
  if (!victim) return false;
  fs::remove(folder_ / fmt::format("{}{}", kEvicted, digest));
  forget(digest);
  transaction.commit();
  return true;
}

}  // namespace reef::model::internal
