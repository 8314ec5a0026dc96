#include "reef/model/internal/model_cache.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/io/sqlite_mode.h"
#include "reef/tree/folders.h"
#include "reef/tree/mount_cache.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

/// file.loading: 0, or the process that writes it (-1: one that is not known).
constexpr const char* kMigrations[] = {
    "CREATE TABLE file (digest TEXT PRIMARY KEY, bytes INTEGER NOT NULL, used INTEGER NOT NULL,"
    " loading INTEGER NOT NULL) STRICT;"
    "CREATE TABLE user (digest TEXT NOT NULL, model TEXT NOT NULL, PRIMARY KEY (digest, model)) STRICT;"
    "CREATE TABLE pin (model TEXT PRIMARY KEY) STRICT;"};

std::int64_t stamp(Time time) { return time.time_since_epoch().count(); }
Time from_stamp(std::int64_t milliseconds) { return Time(std::chrono::milliseconds(milliseconds)); }

/// Names in the folder that are digests.
std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename();
    const bool is_digest = name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (is_digest && fs::is_regular_file(it->symlink_status(error))) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

ModelCache::ModelCache(const tree::Tree& tree, const tree::Config& config, Access access)
    : folder_(tree.model_cache()),
      lock_file_(tree.cache() / "model_cache.lock"),
      ledger_file_(tree.cache() / "model_cache.sqlite"),
      access_(access) {
  if (access == Access::change) {
    tree::make_folders(folder_);
    open_ledger();
  } else {
    open_ledger_to_look();
  }
  struct statfs space {};
  in_memory_ = ::statfs(folder_.c_str(), &space) == 0 && space.f_type == TMPFS_MAGIC;
  cap_ = config.size_bytes("system", "cache.model.cap_bytes");
  const std::uint64_t size = std::uint64_t{space.f_blocks} * static_cast<std::uint64_t>(space.f_bsize);
  if (in_memory_ && size > 0) cap_ = cap_ == 0 ? size : std::min(cap_, size);
  if (cap_ == 0) cap_ = tree::memory_for_models(config);
  limits_.hot = std::chrono::seconds(config.count("models", "cache.hot_seconds"));
  limits_.warm = std::chrono::seconds(config.count("models", "cache.warm_seconds"));
  pinned_by_config_.push_back(config.text("models", "default_embedding"));
  for (const std::string& name : config.names("models", "models"))
    if (config.flag("models", fmt::format("models.{}.pinned", name))) pinned_by_config_.push_back(name);
}

void ModelCache::open_ledger() {
  with_ledger([&] {
    if (ledger_) return;  // made again
    io::Database ledger(ledger_file_, io::OpenMode::create);
    io::migrate(ledger, kMigrations);
    ledger_ = std::move(ledger);
  });
}

void ModelCache::open_ledger_to_look() {
  try {
    std::error_code error;
    if (fs::symlink_status(ledger_file_, error).type() == fs::file_type::not_found) return;
    io::Database ledger(ledger_file_, io::mode_to_look(ledger_file_));
    io::require_version(ledger, static_cast<int>(std::size(kMigrations)));
    ledger_ = std::move(ledger);
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted || error.code() == Errc::usage) throw;
    ledger_fault_ = error.what();
  }
}

/// In its place, for others have it open. What they reserved is found by the files that they write (recover()); what is
/// lost is when files were used, and by which models.
void ModelCache::make_ledger_again(const Error& damage) {
  if (access_ == Access::look) {
    ledger_ = {};
    ledger_fault_ = damage.what();
    return;
  }
  std::set<std::string> pinned;
  try {
    io::Statement rows = ledger_ ? ledger_.prepare("SELECT model FROM pin") : io::Statement();
    while (ledger_ && rows.step()) pinned.emplace(rows.text(0));
  } catch (const Error& error) {
    log_detail("{}", error.what());
  }
  ledger_ = {};
  const io::KeyLock lock(lock_file_, "ledger");
  try {
    io::Database ledger(ledger_file_, io::OpenMode::create);
    io::migrate(ledger, kMigrations);
    if (ledger.integrity(true).empty()) {  // another process was faster
      ledger_ = std::move(ledger);
      return;
    }
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
  }
  log_warn("{}; it is made again, and what is cached stays", damage.what());
  io::empty_database(ledger_file_);
  ledger_ = io::Database(ledger_file_, io::OpenMode::create);
  io::migrate(ledger_, kMigrations);
  for (const std::string& model : pinned) ledger_.prepare("INSERT OR IGNORE INTO pin VALUES (?)").bind(1, model).run();
}

bool ModelCache::is_whole(const std::string& digest, std::uint64_t bytes) const {
  struct stat status {};
  return ::lstat(file(digest).c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         static_cast<std::uint64_t>(status.st_size) == bytes;
}

bool ModelCache::attach(const std::string& digest, std::uint64_t bytes, const std::string& model) {
  if (!is_whole(digest, bytes)) return false;
  return with_ledger([&] {
    io::Transaction transaction(ledger_);
    if (!is_whole(digest, bytes)) return false;  // it went before the transaction began
    ledger_
        .prepare("INSERT INTO file VALUES (?1, ?2, ?3, 0) ON CONFLICT DO UPDATE SET bytes = ?2, used = ?3, loading = 0")
        .bind(1, digest)
        .bind(2, static_cast<std::int64_t>(bytes))
        .bind(3, stamp(now()))
        .run();
    ledger_.prepare("INSERT OR IGNORE INTO user VALUES (?, ?)").bind(1, digest).bind(2, model).run();
    transaction.commit();
    return true;
  });
}

void ModelCache::forget(const std::string& digest) {
  ledger_.prepare("DELETE FROM file WHERE digest = ?").bind(1, digest).run();
  ledger_.prepare("DELETE FROM user WHERE digest = ?").bind(1, digest).run();
}

void ModelCache::release(const std::string& digest, const std::string& model) {
  with_ledger(
      [&] { ledger_.prepare("DELETE FROM user WHERE digest = ? AND model = ?").bind(1, digest).bind(2, model).run(); });
}

std::optional<std::int64_t> ModelCache::loader_of(const std::string& digest) {
  return with_ledger([&]() -> std::optional<std::int64_t> {
    io::Statement row = ledger_.prepare("SELECT loading FROM file WHERE digest = ? AND loading > 0");
    row.bind(1, digest);
    if (!row.step()) return std::nullopt;
    return row.integer(0);
  });
}

Time ModelCache::last_use(const std::string& digest, Time noted) const {
  struct stat status {};
  if (::lstat(file(digest).c_str(), &status) != 0) return noted;
  const auto since_epoch =
      std::chrono::seconds(status.st_atim.tv_sec) + std::chrono::nanoseconds(status.st_atim.tv_nsec);
  return std::max(noted, Time(std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch)));
}

std::vector<std::string> ModelCache::pins() {
  return with_ledger([&] {
    std::vector<std::string> names = pinned_by_config_;
    if (!ledger_) return names;
    io::Statement rows = ledger_.prepare("SELECT model FROM pin");
    while (rows.step()) names.emplace_back(rows.text(0));
    return names;
  });
}

void ModelCache::pin(const std::string& model) {
  with_ledger([&] { ledger_.prepare("INSERT OR IGNORE INTO pin VALUES (?)").bind(1, model).run(); });
}

void ModelCache::unpin(const std::string& model) {
  with_ledger([&] { ledger_.prepare("DELETE FROM pin WHERE model = ?").bind(1, model).run(); });
}

bool ModelCache::is_locked(const std::string& digest) const {
  try {
    return io::KeyLock::is_held(lock_file_, digest);
  } catch (const Error&) {
    if (access_ == Access::change) throw;
    return true;  // somebody else's file: the ledger is believed
  }
}

/// What the ledger says, true or not.
std::vector<ModelCache::Entry> ModelCache::rows() {
  std::vector<Entry> all;
  if (!ledger_) return all;
  io::Statement files = ledger_.prepare("SELECT digest, bytes, used, loading FROM file");
  while (files.step()) {
    Entry& entry = all.emplace_back();
    entry.file = {std::string(files.text(0)), static_cast<std::uint64_t>(files.integer(1)),
                  from_stamp(files.integer(2)), false};
    entry.is_loading = files.integer(3) != 0;
    io::Statement users = ledger_.prepare("SELECT model FROM user WHERE digest = ? ORDER BY model");
    users.bind(1, entry.file.digest);
    while (users.step()) entry.models.emplace_back(users.text(0));
  }
  return all;
}

std::vector<ModelCache::Entry> ModelCache::entries(bool asks) {
  const std::vector<std::string> pinned = pins();
  std::vector<Entry> all = with_ledger([&] { return rows(); });
  std::erase_if(all, [&](const Entry& entry) {  // of killed runs, and of what went when the machine was restarted
    return entry.is_loading ? !is_locked(entry.file.digest) : !is_whole(entry.file.digest, entry.file.bytes);
  });
  std::set<std::string> known;
  for (const Entry& entry : all)
    if (!entry.is_loading) known.insert(entry.file.digest);
  for (const std::string& name : files_in(folder_)) {  // of a ledger that was lost
    std::error_code error;
    const std::uint64_t bytes = fs::file_size(file(name), error);
    if (error || known.contains(name)) continue;
    Entry& entry = all.emplace_back();
    entry.file.digest = name;
    entry.file.bytes = bytes;
  }
  for (Entry& entry : all) {
    entry.file.is_pinned = std::any_of(entry.models.begin(), entry.models.end(),
                                       [&](const std::string& model) { return is_named(model, pinned); });
    if (entry.is_loading) continue;
    entry.file.used = last_use(entry.file.digest, entry.file.used);
    if (!asks) continue;
    const auto state = io::ExclusiveLease(file(entry.file.digest)).state();
    entry.is_in_use = state == io::ExclusiveLease::State::in_use;
    entry.is_use_known = state != io::ExclusiveLease::State::unknown;
  }
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) {
    return a.file.used != b.file.used ? a.file.used > b.file.used : a.file.digest < b.file.digest;
  });
  return all;
}

std::string ModelCache::why_stays(const Entry& entry) const {
  if (entry.is_loading) return "is being loaded";
  if (entry.file.is_pinned) return "is pinned";
  if (entry.is_in_use) return in_use_text(file(entry.file.digest));
  if (!entry.is_use_known) return "may be in use: it belongs to another user, or its filesystem cannot tell";
  if (tier_of(entry.file.used, now(), limits_) == CacheTier::hot)
    return fmt::format("was used less than {} ago", format_duration(limits_.hot));
  return "";
}

}  // namespace reef::model::internal
