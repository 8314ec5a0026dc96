#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "reef/tree/parts.h"

namespace reef::tree::internal {

/// <shard>/shard.json: which shard a folder is, wherever it is mounted, and of which tree.
struct ShardFile {
  std::string id;
  std::string tree;
};
/// nullopt when there is none. Throws Error{corrupt} for one that cannot be read.
std::optional<ShardFile> read_shard_file(const fs::path& shard);
std::string shard_file_text(const ShardFile& file, const std::string& created);

/// vectors/shards.json: the shards that a tree knows, so that a missing one is recognised.
struct ShardList {
  std::string tree;                                      ///< the tree's own id; empty before its first shard
  std::vector<std::pair<std::string, fs::path>> shards;  ///< id and the path that links to it have
};
/// Empty when there is none. Throws Error{corrupt} for one that cannot be read.
ShardList read_shard_list(const fs::path& file);
std::string shard_list_text(const ShardList& list);

/// Empty when there is none. Throws Error{corrupt} for one that cannot be read.
PartList read_part_list(const fs::path& file);
std::string part_list_text(const PartList& list);

/// 16 hexadecimal digits.
std::string random_id();
bool is_shard_id(std::string_view text);

}  // namespace reef::tree::internal
