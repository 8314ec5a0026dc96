#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/document/internal/shard_survey.h"
#include "reef/document/internal/shared_split.h"
#include "reef/document/internal/store_copy.h"
#include "reef/document/shard_moves.h"
#include "reef/document/store.h"
#include "reef/io/file.h"

namespace reef::document {
namespace {

namespace fs = std::filesystem;

std::uint64_t count_vectors(const fs::path& folder) {
  if (!internal::holds_store(folder)) return 0;
  try {
    io::Database database(folder / "metadata.sqlite", io::OpenMode::read);
    auto counts = database.prepare("SELECT rows_total - (SELECT count(*) FROM dead_rows) FROM store");
    return counts.step() ? static_cast<std::uint64_t>(counts.integer(0)) : 0;
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    return 0;  // 'verify' tells what is wrong with it
  }
}

/// nullopt on a failing drive.
std::optional<std::uint64_t> bytes_of(const fs::path& folder) {
  try {
    return internal::store_bytes(folder);
  } catch (const std::exception& error) {
    log_warn("{}", error.what());
    return std::nullopt;
  }
}

const char* state_name(const tree::Shard& shard) {
  if (shard.state == tree::Shard::State::missing) return "missing";
  if (!shard.listed) return "leaving";
  return shard.state == tree::Shard::State::fresh ? "new" : "present";
}

class Planner {
 public:
  Planner(const tree::Tree& tree, const tree::ShardMap& map) : map_(map), tree_(tree) {
    plan_.root = tree.root().string();
  }

  /// One that cannot be looked at, on a failing drive, holds up no other.
  void add(const std::string& persona) {
    try {
      plan(persona);
    } catch (const std::exception&) {
      const Error error = current_error();
      if (error.code() == Errc::interrupted || error.code() == Errc::usage) throw;  // usage: a wrong pin
      wait(persona, error.what(), error.hint());
    }
  }

  void add_shared() {
    try {
      internal::plan_split(tree_, map_, plan_);
    } catch (const std::exception&) {
      const Error error = current_error();
      if (error.code() == Errc::interrupted) throw;
      wait("", error.what(), error.hint());
    }
  }

  /// Bytes are counted as the moves are made, one after the other: what one of them frees serves the next.
  void check_space() {
    std::map<dev_t, std::uint64_t> free;
    std::map<std::string, Shortfall> short_of;
    const auto space = [&](const fs::path& folder) -> std::uint64_t& {
      fs::path there = folder.parent_path();
      while (!fs::exists(there)) there = there.parent_path();
      const auto device = tree::folder_identity(there).first;
      return free.try_emplace(device, internal::free_bytes(there)).first->second;
    };
    for (const ShardMove& move : plan_.moves) {
      if (move.relink) continue;
      std::uint64_t& target = space(move.to_folder);
      if (move.bytes > target) {
        const fs::path root = move.to == "tree" ? tree_.root() : move.to_folder.parent_path().parent_path();
        auto& shortfall = short_of.try_emplace(move.to, Shortfall{move.to, root.string(), 0, target}).first->second;
        shortfall.needed_bytes += move.bytes;
        continue;
      }
      target -= move.bytes;
      space(move.from_folder) += move.bytes;
    }
    // After the personas' moves; the present parts stay until the new ones are whole.
    if (plan_.split) {
      const auto& to = plan_.split->to;
      for (std::size_t i = 0; i < std::max<std::size_t>(to.size(), 1); ++i) {
        const fs::path root = to.empty() ? tree_.vectors(tree::Scope::shared()).parent_path() : map_.find(to[i])->path;
        const std::uint64_t bytes = plan_.split->bytes / std::max<std::size_t>(to.size(), 1);
        std::uint64_t& target = space(root / internal::kSharedName);
        if (bytes <= target) {
          target -= bytes;
          continue;
        }
        const std::string name = to.empty() ? "tree" : to[i];
        auto& shortfall = short_of.try_emplace(name, Shortfall{name, root.string(), 0, target}).first->second;
        shortfall.needed_bytes += bytes;
      }
    }
    for (auto& [shard, shortfall] : short_of) plan_.shortfalls.push_back(std::move(shortfall));
  }

  ShardPlan take() { return std::move(plan_); }

 private:
  void plan(const std::string& persona) {
    const tree::Place wanted = map_.wanted(persona);
    const tree::Place place = map_.place(persona);
    const fs::path own = tree_.vectors(tree::Scope::persona(persona));
    const fs::path kept = tree::kept_store(tree_, tree::Scope::persona(persona));
    if (place.kind == tree::Place::Kind::none && kept.empty()) return;
    if (!kept.empty()) {
      plan_.moves.push_back({persona, "tree", "tree", kept, own, 0, true});
      return add_move(persona, "tree", kept, wanted);
    }
    if (place.kind == tree::Place::Kind::elsewhere) {
      if (map_.any_listed())
        wait(persona, fmt::format("its folder is a link to {}, which is no shard", io::shown(place.folder)),
             "put a folder of the tree in the place of the link, or leave it: it is searched where it is");
      return;
    }
    if (place.kind == tree::Place::Kind::tree && !place.there)
      return wait(persona, fmt::format("{} is no folder", io::shown(own)),
                  "move it out of the way, then run 'reef-init'");
    const tree::Shard* const from = map_.find(place.shard);
    const tree::Shard* const to = map_.find(wanted.shard);
    if (!place.there) return wait_for(persona, *from);
    if (place.relink) plan_.moves.push_back({persona, place.shard, place.shard, own, place.folder, 0, true});
    if (place.kind == wanted.kind && place.shard == wanted.shard) return;
    if (to && to->state == tree::Shard::State::missing) return wait_for(persona, *to);
    add_move(persona, internal::place_name(place), place.folder, wanted);
  }

  void add_move(const std::string& persona, std::string from, const fs::path& folder, const tree::Place& wanted) {
    if (wanted.kind == tree::Place::Kind::tree && from == "tree") return;
    const std::uint64_t bytes = internal::store_bytes(folder);
    plan_.moves.push_back(
        {persona, std::move(from), internal::place_name(wanted), folder, wanted.folder, bytes, false});
  }
  void wait(const std::string& persona, std::string why, std::string hint) {
    plan_.unmoved.push_back({persona, std::move(why), std::move(hint)});
  }
  void wait_for(const std::string& persona, const tree::Shard& shard) {
    plan_.unmoved.push_back(internal::wait_for_shard(map_, persona, shard.id));
  }

  const tree::ShardMap& map_;
  const tree::Tree& tree_;
  ShardPlan plan_;
};

}  // namespace

ShardPlan plan_shards(const tree::Tree& tree, const tree::Config& config, const ShardOptions& options) {
  const tree::ShardMap map = tree::ShardMap::load(tree, config);
  Planner planner(tree, map);
  for (const std::string& persona : internal::sharded_personas(tree, config))
    if (!options.persona || persona == *options.persona) planner.add(persona);
  if (!options.persona) planner.add_shared();
  planner.check_space();
  ShardPlan plan = planner.take();
  if (!options.persona && tree::kept_store(tree, tree::Scope::shared()).empty())
    for (ShardLeftover& leftover : internal::split_leftovers(tree, map, plan))
      plan.leftovers.push_back(std::move(leftover));
  for (ShardLeftover& leftover : internal::find_leftovers(tree, map, options.persona)) {
    if (leftover.path == tree::kept_store(tree, tree::Scope::persona(leftover.persona))) continue;
    if (auto stays = internal::must_stay(tree, leftover))
      plan.unmoved.push_back(std::move(*stays));
    else
      plan.leftovers.push_back(std::move(leftover));
  }
  return plan;
}

ShardReport shard_report(const tree::Tree& tree, const tree::Config& config) {
  const tree::ShardMap map = tree::ShardMap::load(tree, config);
  ShardReport report;
  report.root = tree.root().string();
  const fs::path in_tree = tree.root() / "vectors/personas";
  report.shards.push_back({"", in_tree.string(), fs::exists(in_tree) ? "present" : "missing", "", 0, 0, 0, 0, 0, 0});
  for (const tree::Shard& shard : map.shards())
    report.shards.push_back({shard.id, shard.path.string(), state_name(shard), shard.why, 0, 0, 0, 0, 0, 0});
  for (ShardRow& row : report.shards)
    if (row.state != "missing") row.free_bytes = internal::free_bytes(row.path);
  for (const tree::Part& part : tree::parts_of(tree, tree::Scope::shared())) {
    if (!internal::holds_store(part.folder)) continue;
    for (ShardRow& shard : report.shards) {
      if (shard.id != part.shard) continue;
      shard.shared_vectors = count_vectors(part.folder);
      shard.shared_bytes = bytes_of(part.folder).value_or(0);
    }
  }
  for (const std::string& persona : internal::sharded_personas(tree, config)) {
    const tree::Place place = map.place(persona);
    ShardPersona row;
    row.persona = persona;
    row.place = internal::place_name(place);
    row.wanted = internal::place_name(map.wanted(persona));
    row.folder = place.folder.string();
    row.in_reach = place.there || place.kind == tree::Place::Kind::none;
    row.pinned = map.is_pinned(persona);
    if (place.there) {
      row.vectors = count_vectors(place.folder);
      if (const auto bytes = bytes_of(place.folder))
        row.bytes = *bytes;
      else
        row.in_reach = false;
    }
    for (ShardRow& shard : report.shards) {
      if ((shard.id.empty() ? "tree" : shard.id) != row.place) continue;
      ++shard.personas;
      shard.vectors += row.vectors;
      shard.bytes += row.bytes;
    }
    report.personas.push_back(std::move(row));
  }
  return report;
}

}  // namespace reef::document
