#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/backup/internal/block.h"

namespace reef::backup::internal {

/// How the tree of a snapshot is stored: as blocks that describe, which snapshots share like those of files. All
/// numbers are little-endian; a text is u32 bytes and they.
///
///   Root:     per node of entries: u32 pack, u32 number, 32 bytes SHA-256, u32 entries, text path of the first
///   Entries:  u32 bytes of the entry, u8 type, u32 mode, u32 uid, u32 gid, i64 modified, u64 size, texts path, link
///             target, same file as, state, u32 count and as many counts (text, u64), content
///   Content:  u8 kind; nothing for kind 0. Else 32 bytes: SHA-256 of the names of all blocks, zeros for one that is
///   not
///             stored; u32 count; kind 1: as many runs; kind 2: as many lists (u32 pack, u32 number, 32 bytes SHA-256)
///   List:     runs of kListBlocks blocks, the last one of fewer
///   Run:      u32 pack (0: zeros), u32 first, u32 count
///
/// Where a node of entries ends is decided by the path of an entry, so that a file more or less changes one node. What
/// all that costs: 12 bytes a run in a list that changed, and nothing for a file that did not.
inline constexpr std::uint32_t kListBlocks = 2048;  ///< 32 MiB of a file
inline constexpr std::size_t kMostRunsInEntry = 16;

struct StoredContent {
  enum class Kind : std::uint8_t { none = 0, runs = 1, lists = 2 };
  Kind kind = Kind::none;
  io::Sha256Digest digest{};
  std::vector<BlockRun> runs;
  std::vector<NodeRef> lists;
};

struct StoredEntry {
  Entry entry;
  Counts counts;
  StoredContent content;
};

std::string to_bytes(const Entry& entry, const Counts& counts, const StoredContent& content);
/// Throws Error{corrupt} for what cannot be, paths that lead out of a tree among it. `where` names it in messages.
StoredEntry read_entry(std::string_view bytes, std::string_view where);
/// The path alone.
std::string_view path_in(std::string_view entry);
/// Relative, without ".", "..", empty names and NUL: such a path leads nowhere but into the tree. "" is the tree.
bool is_plain_path(std::string_view path);
/// The bytes of each entry of a node. Throws Error{corrupt}.
std::vector<std::string_view> split_entries(std::string_view node, std::string_view where);

struct EntriesNode {
  NodeRef node;
  std::uint32_t entries = 0;
  std::string first_path;
};
std::string to_bytes(std::span<const EntriesNode> root);
std::vector<EntriesNode> read_root(std::string_view bytes, std::string_view where);

std::string to_bytes(std::span<const BlockRun> list);
std::vector<BlockRun> read_list(std::string_view bytes, std::string_view where);

/// Whether a node of entries ends with this one.
bool ends_node(std::string_view path, std::size_t node_bytes);

/// Appends `run`, as a part of the last one where it goes on there.
void append_run(std::vector<BlockRun>& runs, const BlockRun& run);

}  // namespace reef::backup::internal
