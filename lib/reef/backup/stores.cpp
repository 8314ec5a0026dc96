#include "reef/backup/stores.h"

#include <fmt/format.h>

#include "reef/backup/archives.h"
#include "reef/backup/dated_folders.h"
#include "reef/backup/destination.h"
#include "reef/backup/ledger.h"
#include "reef/backup/repository.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/tree/object_place.h"

namespace reef::backup {
namespace {

std::string key(int tier, const char* name) { return fmt::format("backup.tier{}.{}", tier, name); }

/// The tree knows the id of the destination that it is configured with; one that is only named now is another.
DestinationOptions destination_options(const tree::Tree& tree, const std::string& destination, int tier,
                                       const StoreOptions& options) {
  DestinationOptions result;
  result.tree = tree.root();
  result.adopt = options.adopt;
  result.wait = options.wait;
  if (const Ledger ledger = read_ledger(tree, tier); ledger.destination == destination) result.known_id = ledger.id;
  return result;
}

std::unique_ptr<SnapshotStore> open_archives(const tree::Tree& tree, const tree::Config& config,
                                             const std::string& destination, DestinationOptions place,
                                             unsigned threads) {
  ArchivesOptions options;
  options.scratch = tree.backups() / "tier3";
  options.recipients = config.list("system", key(3, "recipients"));
  options.threads = threads;
  // A relative path counts from the root, as those of destinations do.
  if (const std::string file = config.text("system", key(3, "identity")); !file.empty())
    options.identity = tree.root() / file;
  if (tree::is_s3_name(destination))
    options.store = tree::open_object_store({{}, tree::s3_place(destination, tree, config)}, options.scratch);
  else
    options.folder = destination;
  options.destination = std::move(place);
  return std::make_unique<Archives>(std::move(options));
}

}  // namespace

std::string destination_of(const tree::Tree& tree, const tree::Config& config, int tier,
                           const std::optional<std::string>& to) {
  const std::string text = to ? *to : config.text("system", key(tier, "to"));
  if (text.empty() || tree::is_s3_name(text)) return text;
  const fs::path folder = to ? fs::absolute(text) : fs::absolute(tree.root()) / text;
  std::string path = folder.lexically_normal().string();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::vector<int> configured_tiers(const tree::Config& config) {
  std::vector<int> tiers;
  for (const int tier : kTiers)
    if (!config.text("system", key(tier, "to")).empty()) tiers.push_back(tier);
  return tiers;
}

Retention retention_of(const tree::Config& config, int tier) {
  try {
    return Retention::parse(config.list("system", key(tier, "keep")));
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{} in system.yaml: {}", key(tier, "keep"), error.what()), error.hint());
  }
}

int tier_of_folder(const fs::path& folder) {
  // Each tier refuses the marker of another one, and says which it is: the last refusal is as good as any.
  for (const int tier : {1, 2}) {
    try {
      return Destination::open_for_reading(folder, tier).tier();
    } catch (const Error& error) {
      if (error.code() != Errc::failed) throw;
    }
  }
  return Destination::open_for_reading(folder, 3).tier();
}

std::unique_ptr<SnapshotStore> open_store(const tree::Tree& tree, const tree::Config& config, int tier,
                                          const StoreOptions& options) {
  const std::string destination = destination_of(tree, config, tier, options.to);
  if (destination.empty())
    throw Error(Errc::usage, fmt::format("tier {} has no destination", tier),
                fmt::format("name one in system.yaml ({}), or pass --to DEST", key(tier, "to")));
  DestinationOptions place = destination_options(tree, destination, tier, options);
  switch (tier) {
    case 1:
      return std::make_unique<Repository>(destination, std::move(place), options.threads);
    case 2:
      return std::make_unique<DatedFolders>(destination, std::move(place));
    case 3:
      return open_archives(tree, config, destination, std::move(place), options.threads);
    default:
      throw Error(Errc::usage, fmt::format("there is no tier {}", tier));
  }
}

}  // namespace reef::backup
