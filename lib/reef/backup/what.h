#pragma once

#include <cstdint>
#include <string_view>

namespace reef::backup {

/// What a path of a tree holds, as far as backups care. Paths are relative to the tree, '/' between.
enum class Part : std::uint8_t {
  never,     ///< caches, what is known of backups, locks, what a killed run left
  config,    ///< configuration, the tree's marker, records of archived models: every tier
  store,     ///< databases, vectors, memories: every tier
  original,  ///< documents as they came, attachments, adapters: tiers 2 and 3
  bulk,      ///< models and extracted texts: tier 3
  other,     ///< what reef knows nothing about: tier 3, and where it is small every tier
};

/// By the path alone; that of a folder is what lies in it, `other` where that differs.
Part part_of(std::string_view path);

/// Files of nobody that are larger are in tier 3 alone, unless they are databases.
inline constexpr std::uint64_t kSmallFileBytes = 1 << 20;

/// Whether a file is in the snapshots of a tier.
bool belongs(Part part, int tier, std::uint64_t size_bytes, bool is_database);
/// Whether anything in a folder can be.
bool reaches(Part part, int tier);

/// Where reef keeps a database of its own: another file there is a damaged one.
bool is_database_of_reef(std::string_view path);
/// Whether to look if a file is a database that somebody may have open; others are taken as the bytes that they are.
bool may_be_database(std::string_view path);

/// Whether the tree reaches what lies there through a symbolic link as well as in a folder: folders of the layout, and
/// stores, which may be on a shard. Other links are kept as links.
bool may_be_elsewhere(std::string_view path);

}  // namespace reef::backup
