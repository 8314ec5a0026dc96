#pragma once

#include <cstdint>
#include <string>

#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::tree {

/// cache.model.cap_bytes where it is set, else the smaller of 32 GiB and half of the machine's memory.
std::uint64_t memory_for_models(const Config& config);

/// cache/model_cache on a tmpfs: in memory until the machine is restarted, whoever loaded what is in it.
struct CacheMount {
  std::string path;     ///< of the folder, without links
  std::string options;  ///< of mount(8)
  std::uint64_t size_bytes = 0;
  std::string about;      ///< what is to be done, "new" or "16.0 GiB before"; empty: nothing, it is so
  std::string unit_name;  ///< what systemd calls it: coral\x2dreef-cache-model_cache.mount
  bool applied = false;
};

/// Compares what is mounted with what should be. Throws Error{not_found} without the folder, Error{failed} for one that
/// holds files, which a mount would hide, or that belongs to somebody else than the tree.
CacheMount plan_cache_mount(const Tree& tree, const Config& config);
/// Does it: needs root's right to mount, Error{failed} with the next step without.
CacheMount apply_cache_mount(const Tree& tree, const Config& config);

/// The same at every start of the machine, as a unit for systemd.
struct MountUnit {
  CacheMount mount;
  std::string file;  ///< where it stands or will; empty: it is only shown
  std::string content;
  bool has_changed = false;
  bool applied = false;
};
/// `folder`: /etc/systemd/system, or "-" to write none.
MountUnit write_mount_unit(const Tree& tree, const Config& config, const std::string& folder, bool dry_run);

std::string to_text(const CacheMount& mount);
std::string to_json(const CacheMount& mount);
std::string to_text(const MountUnit& unit);
std::string to_json(const MountUnit& unit);

}  // namespace reef::tree
