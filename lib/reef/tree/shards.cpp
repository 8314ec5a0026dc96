#include "reef/tree/shards.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "reef/core/time.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"
#include "reef/tree/internal/shard_files.h"
#include "reef/tree/parts.h"

namespace reef::tree {
namespace {

constexpr const char* kOnlyTree = "tree";  ///< a pin that keeps a persona out of the shards

bool same_folder(const fs::path& a, const fs::path& b) {
  return a == b || (is_folder(a) && folder_identity(a) == folder_identity(b));
}

/// A path of the configuration: relative ones count from the root of the tree.
fs::path configured(const Tree& tree, const std::string& text) {
  fs::path path = (tree.root() / text).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path;
}

/// Whether `path`, which need not be there, lies in `folder` or is it, by whatever name.
bool is_within(const fs::path& path, const fs::path& folder) {
  std::error_code error;
  fs::path at = fs::weakly_canonical(path, error);
  if (error) at = path;
  for (; at.has_relative_path(); at = at.parent_path())
    if (same_folder(at, folder)) return true;
  return false;
}

bool is_readable(const fs::path& path) { return ::access(path.c_str(), R_OK | X_OK) == 0; }

/// What a folder says that it is. A drive that cannot be read is a missing one; `why` then says so.
std::optional<internal::ShardFile> shard_file_of(const fs::path& path, std::string& why) {
  if (!is_folder(path)) {
    why = fmt::format("there is no folder {}", io::shown(path));
    return std::nullopt;
  }
  try {
    auto file = internal::read_shard_file(path);
    if (!file) why = fmt::format("{} holds no shard.json: its drive is not mounted there", io::shown(path));
    return file;
  } catch (const Error& error) {
    if (error.code() != Errc::failed) throw;
    why = error.what();
    return std::nullopt;
  }
}

}  // namespace

std::pair<dev_t, ino_t> folder_identity(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {0, 0};
  return {info.st_dev, info.st_ino};
}

ShardMap ShardMap::load(const Tree& tree, const Config& config) {
  ShardMap map(tree, config);
  auto list = internal::read_shard_list(list_file(tree));
  map.tree_id_ = std::move(list.tree);
  map.recorded_ = std::move(list.shards);
  for (const std::string& text : config.list("system", "storage.shards")) {
    if (text.empty()) throw Error(Errc::usage, "storage.shards: an empty path", "name a folder");
    const fs::path path = configured(tree, text);
    map.check_folder(path);
    map.add_listed(path);
  }
  // After those that say who they are: a recorded shard that was found elsewhere frees its old mount point.
  for (Shard& shard : map.shards_) {
    if (!shard.id.empty()) continue;
    const std::string recorded = map.recorded_at(shard.path);
    const bool known = !recorded.empty() && map.find(recorded) == nullptr;
    shard.id = known ? recorded : map.fresh_id(shard.path);
    if (known) shard.state = Shard::State::missing;
    if (shard.state == Shard::State::fresh) shard.why.clear();
  }
  map.add_known();
  return map;
}

void ShardMap::require_mounted(const std::string& id) const {
  const Shard* const shard = find(id);
  std::string why;
  const auto file = shard ? shard_file_of(shard->path, why) : std::nullopt;
  if (file && file->id == id && file->tree == tree_id_) return;
  throw Error(Errc::failed, fmt::format("shard {} is gone from {}", id, shard ? io::shown(shard->path) : "the list"),
              "mount its drive again; what was to move there stays where it was");
}

void ShardMap::check_folder(const fs::path& path) const {
  if (same_folder(path / "personas", tree_->root() / "vectors/personas") || same_folder(path, tree_->root()))
    throw Error(Errc::usage, fmt::format("storage.shards: {} is the tree's own folder", io::shown(path)),
                "name folders outside of the tree, one or more for each drive");
  // A move takes the folder that it replaces away, with all that lies in it.
  if (is_within(path, tree_->root() / "vectors"))
    throw Error(Errc::usage, fmt::format("storage.shards: {} lies among the stores of the tree", io::shown(path)),
                "name folders outside of the tree, one or more for each drive");
  for (const Shard& other : shards_) {
    if (same_folder(other.path, path))
      throw Error(Errc::usage, fmt::format("storage.shards: {} is listed twice", io::shown(path)),
                  "remove one of them");
    if (is_within(path, other.path) || is_within(other.path, path))
      throw Error(
          Errc::usage,
          fmt::format("storage.shards: one of {} and {} lies in the other", io::shown(other.path), io::shown(path)),
          "name folders beside one another");
  }
}

void ShardMap::add_listed(const fs::path& path) {
  Shard shard;
  shard.path = path;
  shard.state = Shard::State::missing;
  if (const auto file = shard_file_of(path, shard.why)) {
    if (file->tree != tree_id_)
      throw Error(Errc::usage, fmt::format("{} is a shard of another tree", io::shown(path)),
                  fmt::format("name another folder; if that tree is gone for good, remove {} and what else it holds",
                              io::shown(path / "shard.json")));
    if (const Shard* twin = find(file->id))
      throw Error(Errc::usage,
                  fmt::format("{} and {} say that they are the same shard", io::shown(twin->path), io::shown(path)),
                  "one is a copy of the other: take it out of storage.shards, or remove what it holds");
    shard.id = file->id;
    shard.state = Shard::State::present;
  } else if (is_folder(path) && is_readable(path)) {
    shard.state = Shard::State::fresh;  // unless a shard is known to be mounted there
    if (recorded_at(path).empty() && is_folder(path / "personas"))
      throw Error(Errc::usage, fmt::format("{} holds a folder 'personas' and no shard.json", io::shown(path)),
                  "name a folder without one, or restore shard.json");
  }
  shards_.push_back(std::move(shard));
}

/// Shards that were taken out of storage.shards.
void ShardMap::add_known() {
  for (const auto& [id, path] : recorded_) {
    if (find(id)) continue;
    Shard shard;
    shard.id = id;
    shard.path = path;
    shard.listed = false;
    const auto file = shard_file_of(path, shard.why);
    const bool mine = file && file->id == id && file->tree == tree_id_;
    shard.state = mine ? Shard::State::present : Shard::State::missing;
    if (file && !mine) shard.why = fmt::format("{} is another shard now", io::shown(path));
    shards_.push_back(std::move(shard));
  }
}

std::string ShardMap::recorded_at(const fs::path& path) const {
  for (const auto& [id, recorded] : recorded_)
    if (recorded == path) return id;
  return "";
}

/// Of the path, so that a plan made before anything is written is the one that is carried out; of another number where
/// a shard that was first used at this path is known already.
std::string ShardMap::fresh_id(const fs::path& path) const {
  for (int number = 0;; ++number) {
    std::string id = io::to_hex(io::sha256(fmt::format("{}\n{}", path.string(), number))).substr(0, 16);
    const bool taken = find(id) || std::any_of(recorded_.begin(), recorded_.end(),
                                               [&](const auto& recorded) { return recorded.first == id; });
    if (!taken) return id;
  }
}

const Shard* ShardMap::find(std::string_view id) const {
  const auto found = std::find_if(shards_.begin(), shards_.end(), [&](const Shard& shard) { return shard.id == id; });
  return found == shards_.end() ? nullptr : &*found;
}

bool ShardMap::any_listed() const {
  return std::any_of(shards_.begin(), shards_.end(), [](const Shard& shard) { return shard.listed; });
}

Place ShardMap::place(const std::string& persona) const {
  Place place;
  const fs::path link = tree_->vectors(Scope::persona(persona));
  struct stat info {};
  if (::lstat(link.c_str(), &info) != 0) return place;
  place.there = is_folder(link);
  place.folder = link;
  place.kind = Place::Kind::tree;
  if (!S_ISLNK(info.st_mode)) return place;
  const fs::path target = (link.parent_path() / fs::read_symlink(link)).lexically_normal();
  const fs::path mount = target.parent_path().parent_path();
  place.folder = target;
  place.kind = Place::Kind::elsewhere;
  if (target != mount / "personas" / persona) return place;
  const auto take = [&](const Shard& shard) {
    place.kind = Place::Kind::shard;
    place.shard = shard.id;
    if (shard.state != Shard::State::present) return;
    place.folder = shard.path / "personas" / persona;
    place.there = is_folder(place.folder);
    place.relink = place.folder != target;
  };
  // What is there counts first. A link to nowhere is read as it was meant when it was made.
  for (const Shard& shard : shards_)
    if (shard.state == Shard::State::present && same_folder(shard.path, mount)) take(shard);
  if (const Shard* shard = find(recorded_at(mount)); shard && !place.there) take(*shard);
  return place;
}

const Shard* ShardMap::pin(const std::string& persona) const {
  const std::string key = fmt::format("personas.{}.shard", persona);
  const std::string text = config_->text("personas", key);
  for (const Shard& shard : shards_)
    if (shard.listed && (shard.id == text || shard.path == configured(*tree_, text))) return &shard;
  throw Error(
      Errc::usage,
      fmt::format("{}: {}: '{}' is no shard of storage.shards", config_->value("personas", key).origin, key, text),
      "name a path of storage.shards, an id that 'reef-index shard show' prints, or 'tree'");
}

bool ShardMap::is_pinned(const std::string& persona) const {
  return !config_->text("personas", fmt::format("personas.{}.shard", persona)).empty();
}

Place ShardMap::wanted(const std::string& persona) const {
  Place place;
  place.kind = Place::Kind::tree;
  place.folder = tree_->vectors(Scope::persona(persona));
  if (config_->text("personas", fmt::format("personas.{}.shard", persona)) == kOnlyTree) return place;
  const Shard* best = is_pinned(persona) ? pin(persona) : nullptr;
  if (!best)
    for (const Shard& shard : shards_)
      if (shard.listed && (!best || rendezvous_weight(shard.id, persona) > rendezvous_weight(best->id, persona)))
        best = &shard;
  if (!best) return place;
  place.kind = Place::Kind::shard;
  place.shard = best->id;
  place.folder = best->path / "personas" / persona;
  return place;
}

void ShardMap::begin_fresh() {
  // The tree's id first, then the shard's file, then the record: ended in between, the next run finds a shard of this
  // tree that is not recorded, never a recorded one that looks like an empty mount point.
  if (tree_id_.empty() && any_listed()) {
    tree_id_ = internal::random_id();
    write_list();
  }
  bool begun = false;
  for (Shard& shard : shards_) {
    if (shard.state == Shard::State::fresh) {
      io::replace_file(shard.path / "shard.json", internal::shard_file_text({shard.id, tree_id_}, to_rfc3339(now())));
      shard.state = Shard::State::present;
    }
    const bool known = std::any_of(recorded_.begin(), recorded_.end(),
                                   [&](const auto& recorded) { return recorded.first == shard.id; });
    if (known || shard.state != Shard::State::present) continue;
    // At the old mount point of another shard, which was moved: its links are mended first, see record_paths().
    recorded_.emplace_back(shard.id, recorded_at(shard.path).empty() ? shard.path : fs::path());
    begun = true;
  }
  if (begun) write_list();
}

void ShardMap::record_paths() {
  auto wanted = recorded_;
  for (auto& [id, path] : wanted)
    if (const Shard* shard = find(id); shard && shard->state == Shard::State::present) path = shard->path;
  if (wanted == recorded_) return;
  recorded_ = std::move(wanted);
  write_list();
}

void ShardMap::forget(const std::string& id) {
  const Shard* const shard = find(id);
  if (!shard || shard->listed) return;
  if (shard->state == Shard::State::present) {
    std::error_code error;
    fs::remove(shard->path / "personas", error);
    if (error) return;  // something else lies there
    fs::remove(shard->path / "shard.json", error);
    if (error)
      throw Error(Errc::failed, fmt::format("remove {}: {}", io::shown(shard->path / "shard.json"), error.message()));
  }
  std::erase_if(recorded_, [&](const auto& recorded) { return recorded.first == id; });
  write_list();
}

void ShardMap::write_list() const {
  io::replace_file(list_file(*tree_), internal::shard_list_text({tree_id_, recorded_}));
}

}  // namespace reef::tree
