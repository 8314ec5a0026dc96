#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
/// the lock on DIGEST in cache/model_cache.lock), .evicted-DIGEST (for the moment in which it is asked who uses it).
class ModelCache {
 public:
  ModelCache(const tree::Tree& tree, const tree::Config& config);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path file(const std::string& digest) const { return folder_ / digest; }
  bool is_in_memory() const { return in_memory_; }
  std::uint64_t cap_bytes() const { return cap_; }
  const CacheLimits& limits() const { return limits_; }

  /// Whether the file is there, whole; it then counts as used by that model, now.
  bool attach(const std::string& digest, std::uint64_t bytes, const std::string& model);

  /// Nobody else loads, looks at or removes `digest` while it lives.
  io::KeyLock lock(const std::string& digest) const { return {lock_file_, digest}; }

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
  void publish(const std::string& digest);
  /// It is not to be: the room is free again. Throws nothing.
  void abandon(const std::string& digest) noexcept;

  struct Entry {
    CachedFile file;
    std::vector<std::string> models;
    bool is_loading = false;
    bool is_in_use = false;  ///< some process has it open or mapped
  };
  /// What is there, most recently used first. `asks`: also who uses it.
  std::vector<Entry> entries(bool asks);
  /// What killed runs left, put right.
  void put_right();
  /// False when it is in use. Nothing happens for a file that is not there.
  bool evict(const std::string& digest);

  void pin(const std::string& model);
  void unpin(const std::string& model);
  std::vector<std::string> pins();

 private:
  struct Victim;
  void recover(const std::string& own);
  std::vector<Victim> evict_for(std::uint64_t needed, const std::string& model);
  std::optional<Victim> take_away(const CachedFile& file);
  void put_back(const Victim& victim);
  [[noreturn]] void fail_full(std::uint64_t bytes, const std::string& model);
  bool is_whole(const std::string& digest, std::uint64_t bytes) const;
  Time last_use(const std::string& digest, Time noted) const;
  void forget(const std::string& digest);

  std::filesystem::path folder_;
  std::filesystem::path lock_file_;
  io::Database ledger_;
  bool in_memory_ = false;
  std::uint64_t cap_ = 0;
  CacheLimits limits_;
  std::vector<std::string> pinned_by_config_;
};

/// Who has a file open or mapped, as far as /proc tells this user: "python3 (4127)".
std::vector<std::string> holders_of(const std::filesystem::path& file);

}  // namespace reef::model::internal
