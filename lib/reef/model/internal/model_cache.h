#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/key_lock.h"
#include "reef/io/lease.h"
#include "reef/io/sqlite.h"
#include "reef/model/internal/cache_policy.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::model::internal {

/// Files of weights by ManifestFile::proven_digest() in cache/model_cache, which is a tmpfs where it can be: memory
/// that is kept when a program ends, for programs in any language. A file stands there under its digest only after
/// every byte was compared.
///
/// The folder is the truth about what is cached; cache/model_cache.sqlite knows when it was used, which models it
/// belongs to, and what is reserved. Names in the folder: DIGEST, .loading-DIGEST (being written; whoever writes it has
/// the lock on DIGEST in cache/model_cache.lock), .evicted-DIGEST (for the moment in which it is asked who uses it),
/// and temporary names for what was given up. Transactions take milliseconds, so that no other load finds the ledger
/// locked: a file of many GB only gets a temporary name in them, and is removed afterwards, before anything is written
/// to the room that it leaves (remove_dropped()).
class ModelCache {
 public:
  enum class Access {
    look,    ///< writes nothing, puts nothing right, and serves those who may not write
    change,  ///< makes what is missing
  };
  ModelCache(const tree::Tree& tree, const tree::Config& config, Access access = Access::change);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path file(const std::string& digest) const { return folder_ / digest; }
  bool is_in_memory() const { return in_memory_; }
  std::uint64_t cap_bytes() const { return cap_; }
  const CacheLimits& limits() const { return limits_; }
  /// With Access::look: why the ledger could not be read; empty: it could.
  const std::string& ledger_fault() const { return ledger_fault_; }

  /// Whether the file is there, whole; it then counts as used by that model, now.
  bool attach(const std::string& digest, std::uint64_t bytes, const std::string& model);

  /// Nobody else loads, looks at or removes `digest` while it lives. `on_wait` is called once if another one does.
  io::KeyLock lock(const std::string& digest, const std::function<void()>& on_wait = {}) const {
    return {lock_file_, digest, on_wait};
  }
  /// The process that loads it now.
  std::optional<std::int64_t> loader_of(const std::string& digest);

  /// Where a file is to be written to.
  struct Reservation {
    std::filesystem::path target;
    /// Of a file that was evicted and stands there now: its pages are filled faster than fresh ones. Written through
    /// it alone, and no more once it is wanted: somebody who found the file under its old name would get other bytes.
    std::unique_ptr<io::ExclusiveLease> recycled{};

    /// Gives the evicted file up: a fresh one is to be written.
    void start_afresh();
  };
  /// Room for a file, under its lock: evicts what may go. nullopt when the file is there after all. Throws
  /// Error{failed} when there is no room: naming each model that stays and who holds it.
  std::optional<Reservation> reserve(const std::string& digest, std::uint64_t bytes, const std::string& model);
  /// What was reserved is whole: it appears under its digest.
  /// Throws Error{failed} when `lock` keeps nobody out any more, for somebody removed the cache's files.
  void publish(const std::string& digest, const io::KeyLock& lock);
  /// It is not to be: the room is free again. Throws nothing.
  void abandon(const std::string& digest, const io::KeyLock& lock) noexcept;

  struct Entry {
    CachedFile file;
    std::vector<std::string> models;
    bool is_loading = false;
    bool is_in_use = false;    ///< some process has it open or mapped
    bool is_use_known = true;  ///< false: it is another user's, or its filesystem cannot tell; nothing evicts it

    std::string name() const { return models.empty() ? file.digest.substr(0, 12) : models.front(); }
  };
  /// What is there, most recently used first. `asks`: also who uses it.
  std::vector<Entry> entries(bool asks);
  /// Why it may not go, naming who holds it; empty: it may. For an entry that was asked. Looks through /proc.
  std::string why_stays(const Entry& entry) const;

  /// What killed runs left, put right.
  void put_right();
  enum class Eviction { done, absent, in_use };
  Eviction evict(const std::string& digest);
  /// The file no longer counts as that model's.
  void release(const std::string& digest, const std::string& model);
  /// Evicts what may go, in its order, until the cap is kept; returns it. `dry_run`: what would go.
  std::vector<Entry> trim(bool dry_run);

  void pin(const std::string& model);
  void unpin(const std::string& model);
  std::vector<std::string> pins();

 private:
  struct Victim;
  struct Attempt;

  /// Does `work` with the ledger. One that turns out to be damaged is made again, and all is done once more: the work
  /// of the outermost call, transaction included.
  template <class Work>
  auto with_ledger(Work work) {
    if (is_at_work_) return work();
    struct Mark {
      bool& flag;
      explicit Mark(bool& f) : flag(f) { flag = true; }
      ~Mark() { flag = false; }
    } const mark(is_at_work_);
    try {
      return work();
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      make_ledger_again(error);
    }
    return work();
  }
  void open_ledger();
  void open_ledger_to_look();
  void make_ledger_again(const Error& damage);
  void recover(const std::string& own);
  Attempt try_reserve(const std::string& digest, std::uint64_t bytes, const std::string& model);
  std::uint64_t missing_bytes(std::uint64_t bytes);
  std::optional<std::vector<Victim>> evict_for(std::uint64_t needed);
  std::optional<Victim> take_away(const CachedFile& file);
  void put_back(const Victim& victim);
  void drop(const Victim& victim);
  void remove_dropped() const;
  [[noreturn]] void fail_full(std::uint64_t bytes, const std::string& model);
  bool is_whole(const std::string& digest, std::uint64_t bytes) const;
  bool is_locked(const std::string& digest) const;
  Time last_use(const std::string& digest, Time noted) const;
  std::vector<Entry> rows();
  void forget(const std::string& digest);

  std::filesystem::path folder_;
  std::filesystem::path lock_file_;
  std::filesystem::path ledger_file_;
  Access access_;
  bool is_at_work_ = false;
  io::Database ledger_;  ///< not open: there is none, or `look` cannot read it
  std::string ledger_fault_;
  bool in_memory_ = false;
  std::uint64_t cap_ = 0;
  CacheLimits limits_;
  std::vector<std::string> pinned_by_config_;
};

/// A model that was replaced, repacked or removed no longer has the files that it had: they go as others do.
void release_old(const tree::Tree& tree, ModelCache& cache);

/// Who has a file open or mapped, as far as /proc tells this user: "python3 (4127)".
std::vector<std::string> holders_of(const std::filesystem::path& file);
/// "is in use by python3 (4127)", without names where /proc tells none.
std::string in_use_text(const std::filesystem::path& file);
/// Whether a hard link or a mount of its own (containers) shows the file, too: no lease tells of those.
bool is_shown_elsewhere(const std::filesystem::path& file);

}  // namespace reef::model::internal
