#include "reef/tree/parts.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"
#include "reef/tree/internal/shard_files.h"
#include "reef/tree/shards.h"

namespace reef::tree {
namespace {

constexpr const char* kPartList = "parts.json";
constexpr const char* kPartMark = ".part";

bool is_link(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
}

std::string subject_of(const Scope& scope) {
  return scope.is_shared() ? "the shared knowledge" : fmt::format("the store of persona '{}'", scope.persona_id());
}

/// `link` leads nowhere; its target lies `depth` folders below a shard.
MissingStore behind_link(const Tree& tree, const std::string& subject, const fs::path& link, int depth) {
  MissingStore missing;
  const fs::path target = (link.parent_path() / fs::read_symlink(link)).lexically_normal();
  fs::path mount = target;
  for (int i = 0; i < depth; ++i) mount = mount.parent_path();
  missing.folder = target.string();
  for (const auto& [id, path] : internal::read_shard_list(ShardMap::list_file(tree)).shards)
    if (path == mount) missing.shard = id;
  const std::string named = missing.shard.empty() ? "" : fmt::format("shard {} ", missing.shard);
  std::error_code ignored;
  if (fs::exists(mount / "shard.json", ignored)) {
    missing.what = fmt::format("{}at {} does not hold {}", named, io::shown(mount), subject);
    missing.hint = fmt::format("see 'reef-index shard show'; restore {} from a backup", io::shown(target));
  } else {
    missing.what = fmt::format("{} is out of reach: {}at {} is not mounted", subject, named, io::shown(mount));
    missing.hint = fmt::format(
        "mount its drive at {}; when it is mounted elsewhere for good, write that path into storage.shards and run "
        "'reef-index shard apply'",
        io::shown(mount));
  }
  return missing;
}

}  // namespace

bool is_split(const Tree& tree, const Scope& scope) {
  if (!scope.is_shared()) return false;
  const fs::path own = tree.vectors(scope);
  if (is_folder(own / "parts")) return true;
  std::error_code ignored;  // a copy of a tree may lack links, and the folder that held nothing else
  return fs::exists(own / kPartList, ignored) && !fs::exists(own / "metadata.sqlite", ignored);
}

std::vector<Part> parts_of(const Tree& tree, const Scope& scope) {
  const fs::path own = tree.vectors(scope);
  if (!is_split(tree, scope)) return {{"", own}};
  std::set<std::string> shards;
  std::error_code error;
  for (fs::directory_iterator entry(own / "parts", error), end; !error && entry != end; entry.increment(error))
    if (internal::is_shard_id(entry->path().filename().string())) shards.insert(entry->path().filename().string());
  // Gone: replaced at this moment, and whoever asks looks again.
  if (error && error != std::errc::no_such_file_or_directory)
    throw Error(Errc::failed, fmt::format("list {}: {}", io::shown(own / "parts"), error.message()));
  try {
    for (const auto& [shard, folder] : internal::read_part_list(own / kPartList).folders) shards.insert(shard);
  } catch (const Error& damaged) {
    if (damaged.code() != Errc::corrupt) throw;  // 'verify' tells: a part whose link is lost would not be missed
  }
  std::vector<Part> parts;
  parts.reserve(shards.size());
  for (const std::string& shard : shards) parts.push_back({shard, own / "parts" / shard});
  return parts;
}

PartList part_list(const Tree& tree) { return internal::read_part_list(tree.vectors(Scope::shared()) / kPartList); }

void write_part_list(const fs::path& folder, const std::vector<Part>& parts) {
  PartList list;
  list.split = internal::random_id();
  for (const Part& part : parts) {
    io::replace_file(part.folder / kPartMark, list.split + "\n");
    list.folders.emplace_back(part.shard, part.folder.filename().string());
  }
  io::replace_file(folder / kPartList, internal::part_list_text(list));
}

bool is_part_of(const fs::path& folder, const std::string& split) {
  try {
    constexpr std::uint64_t kLargest = 64;
    return !split.empty() && io::read_file(folder / kPartMark, kLargest) == split + "\n";
  } catch (const Error&) {
    return false;
  }
}

bool is_link_lost(const Part& part) {
  std::error_code ignored;
  return !part.shard.empty() && fs::symlink_status(part.folder, ignored).type() == fs::file_type::not_found;
}

bool is_in_reach(const Part& part) { return is_folder(part.folder); }

std::string part_name(const Scope& scope, const Part& part) {
  return part.shard.empty() ? scope.name() : fmt::format("{}@{}", scope.name(), part.shard);
}

std::uint64_t rendezvous_weight(std::string_view shard, std::string_view key) {
  const auto digest = io::sha256(fmt::format("{}\n{}", shard, key));
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) value = value << 8 | digest[i];
  return value;
}

std::size_t part_of_document(const std::vector<Part>& parts, std::string_view document) {
  if (parts.size() < 2) return 0;
  std::size_t best = 0;
  std::uint64_t highest = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::uint64_t weight = rendezvous_weight(parts[i].shard, document);
    if (i > 0 && weight <= highest) continue;
    best = i;
    highest = weight;
  }
  return best;
}

fs::path kept_store(const Tree& tree, const Scope& scope) {
  const fs::path own = tree.vectors(scope);
  std::error_code ignored;
  const auto status = fs::symlink_status(own, ignored);
  const bool empty = fs::is_directory(status) && fs::is_empty(own, ignored);  // as reef-init makes it
  if (fs::exists(status) && !empty) return {};
  const std::string prefix = fmt::format(".{}.kept-", own.filename().string());
  for (fs::directory_iterator entry(own.parent_path(), ignored), end; entry != end; entry.increment(ignored))
    if (entry->path().filename().string().starts_with(prefix)) return entry->path();
  return {};
}

std::vector<MissingStore> missing_stores(const Tree& tree, const Scope& scope) {
  if (const fs::path kept = kept_store(tree, scope); !kept.empty())
    return {{scope.name(), "", kept.string(),
             fmt::format("{} is out of reach: a move of it was ended between two steps", subject_of(scope)),
             "run 'reef-index shard apply'"}};
  std::vector<MissingStore> missing;
  constexpr int kPartDepth = 1, kPersonaDepth = 2;  // <shard>/shared, <shard>/personas/<id>
  const auto parts = parts_of(tree, scope);
  if (parts.empty()) {  // split, and neither links nor a list of them
    const fs::path folder = tree.vectors(scope);
    return {{scope.name(), "", folder.string(),
             fmt::format("{} is out of reach: {} links to none of its parts", subject_of(scope), io::shown(folder)),
             "restore that folder from a backup; its parts are in the folders 'shared' of the shards"}};
  }
  for (const Part& part : parts) {
    if (is_link_lost(part)) {
      missing.push_back(
          {part_name(scope, part), part.shard, part.folder.string(),
           fmt::format("a part of {} is out of reach: the link {} is gone", subject_of(scope), io::shown(part.folder)),
           "run 'reef-index shard apply', which finds it on its shard and links it again"});
      continue;
    }
    if (is_in_reach(part) || !is_link(part.folder)) continue;
    const bool whole = part.shard.empty();
    missing.push_back(behind_link(tree, whole ? subject_of(scope) : "a part of " + subject_of(scope), part.folder,
                                  whole ? kPersonaDepth : kPartDepth));
    missing.back().scope = part_name(scope, part);
    if (!whole) missing.back().shard = part.shard;
  }
  return missing;
}

void require_in_reach(const Tree& tree, const Scope& scope) {
  for (const MissingStore& missing : missing_stores(tree, scope))
    throw Error(Errc::not_found, missing.what, missing.hint);
}

}  // namespace reef::tree
