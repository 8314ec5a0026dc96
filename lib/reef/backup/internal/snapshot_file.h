#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reef/backup/internal/block.h"
#include "reef/backup/internal/snapshot_id.h"
#include "reef/backup/snapshot_store.h"

namespace reef::backup::internal {

/// snapshots/<id> (see snapshot_id.h): the last file of a run, and its commit point. A few hundred bytes:
///
///   "REEFSNAP", u32 version (1), text id, i64 taken (ms since the epoch), u64 files, u64 bytes, u64 bytes added,
///   u32 first pack that came later, root (u32 pack, u32 number, 32 bytes SHA-256), u32 count and as many texts: files
///   that changed while they were read, u32 count and as many texts: files that were damaged in the tree, u64 XXH3 of
///   all before it
/// A text is u32 bytes and they.
struct SnapshotFile {
  Snapshot snapshot;
  std::uint32_t next_pack = 1;
  NodeRef root;
  std::vector<std::string> damaged;  ///< in the tree already
};

std::string to_bytes(const SnapshotFile& file);
/// Throws Error{corrupt}.
SnapshotFile read_snapshot_file(const fs::path& path, const std::string& id);

/// checks: what verifying found, replaced as a whole. May be missing: nothing is known then.
///
///   "REEFCHKS", u32 version (1), u32 count and as many snapshots: text id, u8 with bits 1: verified, 2: damaged, i64
///   when verified, i64 when damaged (ms since the epoch), u32 count and as many damaged packs: u32 number, u8 1: all
///   of it, u32 count and as many u32 numbers of blocks, u64 XXH3 of all before it
struct Checks {
  struct Check {
    std::optional<Time> verified;
    std::optional<Time> damaged;
  };
  struct BadPack {
    bool all = false;
    std::set<std::uint32_t> blocks;
  };
  std::map<std::string, Check> snapshots;
  std::map<std::uint32_t, BadPack> bad;

  bool is_bad(const BlockRef& block) const;
  bool is_bad(const BlockRun& run) const;
};

inline constexpr const char* kChecksFile = "checks";
std::string to_bytes(const Checks& checks);
/// Throws Error{corrupt}.
Checks read_checks(const fs::path& path);

}  // namespace reef::backup::internal
