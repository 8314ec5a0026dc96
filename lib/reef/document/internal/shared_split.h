#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/document/shard_moves.h"

namespace reef::document::internal {

/// Names of what a split makes: ".shared.moving-…" as of a persona's move, in vectors/ and in shards.
inline constexpr const char* kSharedName = "shared";
/// Names of a part on its shard, of which one is free while the other is read.
inline constexpr const char* kPartNames[] = {"shared", "shared.2"};

/// What is to be done with the shared knowledge, or why it has to wait; links that are out of date.
void plan_split(const tree::Tree& tree, const tree::ShardMap& map, ShardPlan& plan);

/// Copies all documents with their chunks, ids and vectors into new parts, or into one store, compares, puts them in
/// the place of the present ones by one exchange of vectors/shared, and removes those.
void apply_split(const tree::Tree& tree, const tree::ShardMap& map, const SharedSplit& split,
                 const ShardOptions& options, Progress& progress);

/// What ended splits left, while what is in place is whole; otherwise why it stays is added to `plan`.
std::vector<ShardLeftover> split_leftovers(const tree::Tree& tree, const tree::ShardMap& map, ShardPlan& plan);

}  // namespace reef::document::internal
