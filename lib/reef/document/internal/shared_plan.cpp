#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/document/internal/shard_publish.h"
#include "reef/document/internal/shard_survey.h"
#include "reef/document/internal/shared_split.h"
#include "reef/document/internal/store_copy.h"
#include "reef/io/file.h"
#include "reef/tree/shards.h"

namespace reef::document::internal {
namespace {

namespace fs = std::filesystem;
const tree::Scope kScope = tree::Scope::shared();

std::vector<std::string> shards_of(const std::vector<tree::Part>& parts) {
  std::vector<std::string> shards;
  for (const tree::Part& part : parts)
    if (!part.shard.empty()) shards.push_back(part.shard);
  return shards;
}

bool is_whole(const tree::Tree& tree, const std::vector<tree::Part>& parts) {
  if (!tree::is_split(tree, kScope)) return holds_store(tree.vectors(kScope));
  return !parts.empty() &&
         std::all_of(parts.begin(), parts.end(), [](const tree::Part& part) { return holds_store(part.folder); });
}

void wait_for(ShardPlan& plan, const std::string& why, const std::string& hint) {
  plan.unmoved.push_back({"", why, hint});
}

/// Where a part lies now that its link does not lead to; empty when there is no such place.
fs::path place_on(const tree::Shard& shard, const tree::Part& part, const tree::PartList& list) {
  if (tree::is_link_lost(part)) {
    for (const auto& [id, folder] : list.folders)
      if (id == part.shard && tree::is_part_of(shard.path / folder, list.split)) return shard.path / folder;
    return {};
  }
  // In the place of a link, a folder that a copy of the tree brought is a part like any other.
  std::error_code ignored;
  if (!fs::is_symlink(fs::symlink_status(part.folder, ignored))) return {};
  // The name on the shard is the link's; its path is where the shard is now.
  const fs::path target = fs::read_symlink(part.folder);
  fs::path now = shard.path / target.filename();
  return now == target ? fs::path() : now;
}

}  // namespace

void plan_split(const tree::Tree& tree, const tree::ShardMap& map, ShardPlan& plan) {
  const fs::path own = tree.vectors(kScope);
  if (const fs::path kept = tree::kept_store(tree, kScope); !kept.empty()) {
    plan.moves.push_back({"", "tree", "tree", kept, own, 0, true});
    return;  // what is there, and what is to be done with it, is known when it is in its place
  }
  const bool split = tree::is_split(tree, kScope);
  if (!split && !holds_store(own)) return;
  std::error_code ignored;
  const auto parts = tree::parts_of(tree, kScope);
  SharedSplit change;
  change.from = shards_of(parts);
  for (const tree::Shard& shard : map.shards())
    if (shard.listed) change.to.push_back(shard.id);
  std::sort(change.to.begin(), change.to.end());
  if (change.to.size() < 2) change.to.clear();
  bool all_here = true;
  tree::PartList list;
  if (std::any_of(parts.begin(), parts.end(), tree::is_link_lost)) list = tree::part_list(tree);
  for (const tree::Part& part : parts) {
    const tree::Shard* const shard = map.find(part.shard);
    if (split && shard && shard->state == tree::Shard::State::present) {
      const fs::path now = place_on(*shard, part, list);
      if (!now.empty() && holds_store(now)) {
        plan.moves.push_back({"", part.shard, part.shard, part.folder, now, 0, true});
        change.bytes += store_bytes(now);
        continue;
      }
    }
    if (!tree::is_in_reach(part)) {
      all_here = false;
      if (shard && shard->state == tree::Shard::State::present && tree::is_link_lost(part))
        wait_for(plan,
                 fmt::format("the link {} is gone, and shard {} ({}) holds no part of this splitting",
                             io::shown(part.folder), part.shard, io::shown(shard->path)),
                 "restore that part from a backup, and link it there by hand");
      else
        plan.unmoved.push_back(wait_for_shard(map, "", part.shard));
      continue;
    }
    change.bytes += store_bytes(part.folder);
  }
  if (change.from == change.to || !all_here) return;
  // Another folder takes its name, and the old one goes: neither works through a link or for a mount point.
  const bool is_link = fs::is_symlink(fs::symlink_status(own, ignored));
  if (is_link || tree::folder_identity(own).first != tree::folder_identity(own.parent_path()).first) {
    wait_for(plan, fmt::format("{} is a {}", io::shown(own), is_link ? "symbolic link" : "mount point"),
             "make it a folder of the tree's own drive, or keep the shared knowledge whole: list one shard");
    return;
  }
  for (const std::string& id : change.to) {
    if (map.find(id)->state != tree::Shard::State::missing) continue;
    plan.unmoved.push_back(wait_for_shard(map, "", id));
    return;
  }
  plan.split = std::move(change);
}

std::vector<ShardLeftover> split_leftovers(const tree::Tree& tree, const tree::ShardMap& map, ShardPlan& plan) {
  std::vector<ShardLeftover> leftovers;
  const auto is_hidden = [](const std::string& name) {
    return name.starts_with(fmt::format(".{}.{}-", kSharedName, kMoving)) ||
           name.starts_with(fmt::format(".{}.{}-", kSharedName, kKept));
  };
  const auto look = [&](const fs::path& folder) {
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
      if (is_hidden(entry->path().filename().string())) leftovers.push_back({"", entry->path()});
  };
  look(tree.vectors(kScope).parent_path());
  look(tree.vectors(kScope) / "parts");
  const auto parts = tree::parts_of(tree, kScope);
  for (const tree::Shard& shard : map.shards()) {
    if (shard.state != tree::Shard::State::present) continue;
    look(shard.path);
    for (const char* const name : kPartNames) {
      const fs::path folder = shard.path / name;
      if (!is_marked(folder)) continue;
      const auto here = tree::folder_identity(folder);
      if (std::none_of(parts.begin(), parts.end(),
                       [&](const tree::Part& part) { return tree::folder_identity(part.folder) == here; }))
        leftovers.push_back({"", folder});
    }
  }
  if (leftovers.empty() || is_whole(tree, parts)) return leftovers;
  wait_for(plan,
           fmt::format("{} is left of a split, and {} is not whole: nothing is removed",
                       io::shown(leftovers.front().path), io::shown(tree.vectors(kScope))),
           "make all shards available");
  return {};
}

}  // namespace reef::document::internal
