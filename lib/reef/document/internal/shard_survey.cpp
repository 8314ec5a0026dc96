#include "reef/document/internal/shard_survey.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <set>

#include "reef/core/error.h"
#include "reef/document/internal/shard_publish.h"
#include "reef/document/internal/store_copy.h"
#include "reef/io/file.h"
#include "reef/tree/persona.h"

namespace reef::document::internal {
namespace {

namespace fs = std::filesystem;

fs::path personas_folder(const tree::Tree& tree) { return tree.root() / "vectors/personas"; }

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error && error != std::errc::no_such_file_or_directory)
    throw Error(Errc::failed, fmt::format("list {}: {}", io::shown(folder), error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

std::string persona_of_hidden(const std::string& name) {
  const std::string persona = persona_of(name, kMoving);
  return persona.empty() ? persona_of(name, kKept) : persona;
}

}  // namespace

std::vector<std::string> sharded_personas(const tree::Tree& tree, const tree::Config& config) {
  const auto known = tree::personas(config);
  std::set<std::string> ids(known.begin(), known.end());
  for (const std::string& name : names_in(personas_folder(tree)))
    if (const std::string id = tree::is_persona_id(name) ? name : persona_of(name, kKept); !id.empty()) ids.insert(id);
  return {ids.begin(), ids.end()};
}

std::vector<ShardLeftover> find_leftovers(const tree::Tree& tree, const tree::ShardMap& map,
                                          const std::optional<std::string>& persona) {
  std::vector<ShardLeftover> leftovers;
  const auto add = [&](std::string id, fs::path path) {
    if (!id.empty() && (!persona || id == *persona)) leftovers.push_back({std::move(id), std::move(path)});
  };
  for (const std::string& name : names_in(personas_folder(tree)))
    add(persona_of_hidden(name), personas_folder(tree) / name);
  for (const tree::Shard& shard : map.shards()) {
    if (shard.state != tree::Shard::State::present) continue;
    const fs::path folder = shard.path / "personas";
    for (const std::string& name : names_in(folder)) {
      add(persona_of_hidden(name), folder / name);
      if (!tree::is_persona_id(name) || !is_marked(folder / name)) continue;
      const auto here = tree::folder_identity(folder / name);
      if (here != tree::folder_identity(map.place(name).folder)) add(name, folder / name);
    }
  }
  return leftovers;
}

std::optional<UnmovedPersona> must_stay(const tree::Tree& tree, const ShardLeftover& leftover) {
  if (fs::is_symlink(leftover.path) || !holds_store(leftover.path)) return std::nullopt;
  const fs::path place = tree.vectors(tree::Scope::persona(leftover.persona));
  if (holds_store(place)) return std::nullopt;
  return UnmovedPersona{leftover.persona,
                        fmt::format("{} is left of a move, and {} holds no store: nothing is removed",
                                    io::shown(leftover.path), io::shown(place)),
                        "make its shard available; when that one is lost, put this folder in the place of the link"};
}

UnmovedPersona wait_for_shard(const tree::ShardMap& map, std::string persona, const std::string& shard) {
  const tree::Shard* const found = map.find(shard);
  if (!found)
    return {std::move(persona), fmt::format("shard {} is not known", shard),
            "restore vectors/shards.json from a backup"};
  const bool there = found->why.empty();
  return {
      std::move(persona),
      fmt::format("shard {} ({}): {}", shard, io::shown(found->path), there ? "its folder is not there" : found->why),
      there ? "restore that folder from a backup"
            : "mount its drive, or write the path that it has now into storage.shards"};
}

std::string place_name(const tree::Place& place) {
  switch (place.kind) {
    case tree::Place::Kind::none:
      return "none";
    case tree::Place::Kind::tree:
      return "tree";
    case tree::Place::Kind::elsewhere:
      return "elsewhere";
    case tree::Place::Kind::shard:
      return place.shard;
  }
  return "";
}

std::uint64_t free_bytes(const fs::path& folder) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) throw_errno("read the free space of", io::shown(folder));
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace reef::document::internal
