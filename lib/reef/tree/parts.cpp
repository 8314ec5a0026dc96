#include "reef/tree/parts.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"
#include "reef/tree/internal/shard_files.h"
#include "reef/tree/shards.h"

namespace reef::tree {
namespace {

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
  return scope.is_shared() && is_folder(tree.vectors(scope) / "parts");
}

std::vector<Part> parts_of(const Tree& tree, const Scope& scope) {
  const fs::path own = tree.vectors(scope);
  if (!is_split(tree, scope)) return {{"", own}};
  std::vector<Part> parts;
  std::error_code gone;  // replaced at this moment: whoever asks looks again
  for (fs::directory_iterator entry(own / "parts", gone), end; !gone && entry != end; entry.increment(gone))
    if (internal::is_shard_id(entry->path().filename().string()))
      parts.push_back({entry->path().filename().string(), entry->path()});
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.shard < b.shard; });
  return parts;
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
  for (const Part& part : parts_of(tree, scope)) {
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
