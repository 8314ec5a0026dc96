#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reef/document/shard_moves.h"

namespace reef::document::internal {

/// Personas of personas.yaml and of vectors/personas, whose stores may be older than that file.
std::vector<std::string> sharded_personas(const tree::Tree& tree, const tree::Config& config);

/// What ended moves left: everything of that kind in the tree and in the shards that are present, for all personas or
/// for one.
std::vector<ShardLeftover> find_leftovers(const tree::Tree& tree, const tree::ShardMap& map,
                                          const std::optional<std::string>& persona);

/// Why a leftover must stay: it is the only store of its persona. nullopt: it can go.
std::optional<UnmovedPersona> must_stay(const tree::Tree& tree, const ShardLeftover& leftover);

/// What a persona's store, or shared knowledge (""), waits for: a shard that is missing, or does not hold its folder.
UnmovedPersona wait_for_shard(const tree::ShardMap& map, std::string persona, const std::string& shard);

/// "tree", "elsewhere", "none" or the shard's id.
std::string place_name(const tree::Place& place);

std::uint64_t free_bytes(const std::filesystem::path& folder);

}  // namespace reef::document::internal
