// How room is made in the model cache, and taken.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/internal/model_cache.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLoading = ".loading-";
constexpr std::string_view kEvicted = ".evicted-";
constexpr mode_t kBeingWritten = 0640;
constexpr mode_t kWritten = 0440;  ///< it was compared: nobody is to change it

/// A file that is given up: remove_dropped() removes it, or the next one that comes.
void drop_file(const fs::path& path) {
  const fs::path dropped = io::temporary_name(path);
  if (::rename(path.c_str(), dropped.c_str()) != 0 && errno != ENOENT) throw_errno("rename", io::shown(path));
}

std::uint64_t bytes_on_disk(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * 512 : 0;
}

std::uint64_t bytes_dropped(const fs::path& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder))
    if (io::is_temporary_name(entry.path().filename().native())) bytes += bytes_on_disk(entry.path());
  return bytes;
}

}  // namespace

/// A file whose name was taken away, and which nobody has.
struct ModelCache::Victim {
  CachedFile file;
  std::unique_ptr<io::ExclusiveLease> lease;  ///< as long as it lives, an open(2) of the file waits
};

struct ModelCache::Attempt {
  bool is_there = false;
  std::uint64_t missing = 0;  ///< bytes, when there is no room
  std::optional<Reservation> reservation;
};

/// What killed runs left, put right: called in a transaction, which keeps other evictions out. `own` is the digest that
/// the caller has locked.
void ModelCache::recover(const std::string& own) {
  const auto is_dead = [&](const std::string& digest) {
    return digest == own || !io::KeyLock::is_held(lock_file_, digest);
  };
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(kLoading)) {
      const std::string digest = name.substr(kLoading.size());
      if (is_dead(digest)) {
        drop_file(entry.path());
      } else {  // reserved in a ledger that was lost
        std::error_code error;
        const std::uint64_t bytes = fs::file_size(entry.path(), error);
        ledger_.prepare("INSERT OR IGNORE INTO file VALUES (?, ?, 0, -1)")
            .bind(1, digest)
            .bind(2, static_cast<std::int64_t>(error ? 0 : bytes))
            .run();
      }
    } else if (name.starts_with(kEvicted)) {
      if (!io::rename_new(entry.path(), file(name.substr(kEvicted.size())))) drop_file(entry.path());
    }
  }
  for (const Entry& entry : rows()) {
    const std::string& digest = entry.file.digest;
    if (entry.is_loading ? is_dead(digest) : !is_whole(digest, entry.file.bytes)) forget(digest);
  }
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
  if (!io::rename_new(aside, file(victim.file.digest))) drop_file(aside);  // a fresh copy came meanwhile
}

void ModelCache::drop(const Victim& victim) {
  drop_file(folder_ / fmt::format("{}{}", kEvicted, victim.file.digest));
  forget(victim.file.digest);
}

/// Outside of transactions, for a file of many GB takes a second. One process at a time: whoever comes out of it knows
/// that what was dropped before is gone, and its room free.
void ModelCache::remove_dropped() const {
  const io::KeyLock lock(lock_file_, "removal");
  io::remove_stale(folder_);
}

/// Takes away what may go until `needed` bytes are free. nullopt: that is too little, and all is where it was.
std::optional<std::vector<ModelCache::Victim>> ModelCache::evict_for(std::uint64_t needed) {
  std::vector<CachedFile> files;
  for (const Entry& entry : entries(false))
    if (!entry.is_loading) files.push_back(entry.file);
  files = eviction_order(std::move(files), now(), limits_);
  std::uint64_t freed = 0, possible = 0;
  for (const CachedFile& candidate : files) possible += candidate.bytes;
  if (possible < needed) return std::nullopt;
  std::vector<Victim> victims;
  for (const CachedFile& candidate : files) {
    if (freed >= needed) break;
    auto victim = take_away(candidate);
    if (!victim) continue;
    freed += candidate.bytes;
    victims.push_back(std::move(*victim));
  }
  if (freed >= needed) return victims;
  for (const Victim& victim : victims) put_back(victim);
  return std::nullopt;
}

void ModelCache::fail_full(std::uint64_t bytes, const std::string& model) {
  std::string stays;
  for (const Entry& entry : entries(true)) {
    const std::string why = why_stays(entry);
    if (why.empty()) continue;
    stays += fmt::format("{}{} ({}) {}", stays.empty() ? "" : "; ", entry.name(), format_size(entry.file.bytes), why);
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

/// What must go for a file of `bytes`.
std::uint64_t ModelCache::missing_bytes(std::uint64_t bytes) {
  std::uint64_t used = 0;
  for (const Entry& entry : entries(false)) used += entry.file.bytes;
  const std::uint64_t over = used + bytes > cap_ ? used + bytes - cap_ : 0;
  struct statfs space {};
  if (::statfs(folder_.c_str(), &space) != 0) return over;
  // Others may have filled the filesystem.
  const std::uint64_t free =
      std::uint64_t{space.f_bavail} * static_cast<std::uint64_t>(space.f_bsize) + bytes_dropped(folder_);
  return std::max(over, bytes > free ? bytes - free : 0);
}

ModelCache::Attempt ModelCache::try_reserve(const std::string& digest, std::uint64_t bytes, const std::string& model) {
  io::Transaction transaction(ledger_);
  recover(digest);
  Attempt attempt;
  attempt.is_there = is_whole(digest, bytes);  // an eviction had it aside for a moment
  if (attempt.is_there) {
    transaction.commit();
    return attempt;
  }
  const std::uint64_t needed = missing_bytes(bytes);
  auto victims = needed > 0 ? evict_for(needed) : std::vector<Victim>();
  if (!victims) {
    attempt.missing = needed;
    transaction.commit();
    return attempt;
  }
  Reservation reservation{folder_ / fmt::format("{}{}", kLoading, digest)};
  // Those who looked a name up just before it went are in open(2) by now.
  if (in_memory_ && !victims->empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  for (Victim& victim : *victims) {
    const fs::path aside = folder_ / fmt::format("{}{}", kEvicted, victim.file.digest);
    if (in_memory_ && !reservation.recycled && !victim.lease->is_wanted() &&
        ::rename(aside.c_str(), reservation.target.c_str()) == 0) {
      reservation.recycled = std::move(victim.lease);
      forget(victim.file.digest);
    } else {
      drop(victim);
    }
  }
  ledger_.prepare("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)")
      .bind(1, digest)
      .bind(2, static_cast<std::int64_t>(bytes))
      .bind(3, now().time_since_epoch().count())
      .bind(4, std::int64_t{::getpid()})
      .run();
  ledger_.prepare("INSERT OR IGNORE INTO user VALUES (?, ?)").bind(1, digest).bind(2, model).run();
  transaction.commit();
  attempt.reservation = std::move(reservation);
  return attempt;
}

std::optional<ModelCache::Reservation> ModelCache::reserve(const std::string& digest, std::uint64_t bytes,
                                                           const std::string& model) {
  for (bool is_second = false;; is_second = true) {
    remove_dropped();
    Attempt attempt = with_ledger([&] { return try_reserve(digest, bytes, model); });
    if (attempt.missing == 0) {
      if (attempt.reservation && attempt.reservation->recycled && is_shown_elsewhere(attempt.reservation->target)) {
        ::unlink(attempt.reservation->target.c_str());  // who was given the file keeps what it holds
        attempt.reservation->recycled.reset();
      }
      remove_dropped();
      return std::move(attempt.reservation);
    }
    // What another process was removing just then was neither there to go nor free: once more after that.
    if (is_second) fail_full(attempt.missing, model);
  }
}

void ModelCache::publish(const std::string& digest, const io::KeyLock& lock) {
  with_ledger([&] {
    io::Transaction transaction(ledger_);
    if (!lock.is_valid())  // .loading-DIGEST may be somebody else's by now
      throw Error(Errc::failed, fmt::format("{} was removed during the load", io::shown(lock_file_)),
                  "run the command again");
    const fs::path written = folder_ / fmt::format("{}{}", kLoading, digest);
    if (::chmod(written.c_str(), kWritten) != 0 || ::rename(written.c_str(), file(digest).c_str()) != 0) {
      if (errno != ENOENT || !fs::exists(file(digest))) throw_errno("rename", io::shown(file(digest)));
    }
    ledger_.prepare("UPDATE file SET loading = 0, used = ? WHERE digest = ?")
        .bind(1, now().time_since_epoch().count())
        .bind(2, digest)
        .run();
    transaction.commit();
  });
}

void ModelCache::abandon(const std::string& digest, const io::KeyLock& lock) noexcept {
  try {
    if (!lock.is_valid()) return;
    std::error_code ignored;
    fs::remove(folder_ / fmt::format("{}{}", kLoading, digest), ignored);
    io::Transaction transaction(ledger_);
    ledger_
        .prepare(
            "DELETE FROM user WHERE digest = ?1 AND EXISTS (SELECT 1 FROM file WHERE digest = ?1 AND loading <> 0)")
        .bind(1, digest)
        .run();
    ledger_.prepare("DELETE FROM file WHERE digest = ? AND loading <> 0").bind(1, digest).run();
    transaction.commit();
  } catch (const std::exception& e) {
    log_detail("{}", e.what());  // the next reservation finds that nobody holds the lock
  }
}

void ModelCache::put_right() {
  with_ledger([&] {
    io::Transaction transaction(ledger_);
    recover({});
    transaction.commit();
  });
  remove_dropped();
}

ModelCache::Eviction ModelCache::evict(const std::string& digest) {
  const Eviction eviction = with_ledger([&] {
    io::Transaction transaction(ledger_);
    recover({});
    const bool is_there = fs::exists(fs::symlink_status(file(digest)));
    CachedFile entry;
    entry.digest = digest;
    const auto victim = is_there ? take_away(entry) : std::nullopt;
    if (victim) drop(*victim);
    transaction.commit();
    return victim ? Eviction::done : is_there ? Eviction::in_use : Eviction::absent;
  });
  remove_dropped();
  return eviction;
}

std::vector<ModelCache::Entry> ModelCache::trim(bool dry_run) {
  const auto choose = [&](const auto& take) {
    std::vector<Entry> all = entries(dry_run), gone;
    std::vector<CachedFile> files;
    std::uint64_t used = 0;
    for (const Entry& entry : all) {
      used += entry.file.bytes;
      if (!entry.is_loading && !entry.is_in_use && entry.is_use_known) files.push_back(entry.file);
    }
    for (const CachedFile& candidate : eviction_order(std::move(files), now(), limits_)) {
      if (used <= cap_) break;
      if (!take(candidate)) continue;
      used -= candidate.bytes;
      gone.push_back(*std::find_if(all.begin(), all.end(),
                                   [&](const Entry& entry) { return entry.file.digest == candidate.digest; }));
    }
    return gone;
  };
  if (dry_run) return choose([](const CachedFile&) { return true; });
  const std::vector<Entry> gone = with_ledger([&] {
    io::Transaction transaction(ledger_);
    recover({});
    std::vector<Entry> chosen = choose([&](const CachedFile& candidate) {
      const auto victim = take_away(candidate);
      if (victim) drop(*victim);
      return victim.has_value();
    });
    transaction.commit();
    return chosen;
  });
  remove_dropped();
  return gone;
}

}  // namespace reef::model::internal
