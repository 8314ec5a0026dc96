#include "reef/recover/source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reef/backup/stores.h"
#include "reef/core/error.h"

namespace reef::recover {
namespace {

/// A destination has a slash, as every absolute path and s3:// address does, or is a folder here; an id has none.
bool is_destination(const std::string& from) {
  std::error_code ignored;
  return from.find('/') != std::string::npos || std::filesystem::is_directory(from, ignored);
}

[[noreturn]] void throw_none(const SourceChoice& choice, const std::vector<std::string>& why_not) {
  std::string what = "there is no snapshot to restore from";
  if (choice.from && !is_destination(*choice.from)) what = fmt::format("there is no snapshot '{}'", *choice.from);
  if (choice.at) what += fmt::format(" as old as {}", to_rfc3339(*choice.at));
  if (!why_not.empty()) what += fmt::format(" ({})", fmt::join(why_not, ", "));
  throw Error(Errc::not_found, what, "'reef-backup list' shows those there are");
}

}  // namespace

std::optional<backup::Snapshot> chosen(const std::vector<backup::Snapshot>& snapshots, const SourceChoice& choice) {
  const bool by_id = choice.from && !is_destination(*choice.from);
  std::optional<backup::Snapshot> found;
  for (const backup::Snapshot& snapshot : snapshots) {
    if (by_id) {
      if (snapshot.id == *choice.from) return snapshot;
      continue;
    }
    if (snapshot.damaged || (choice.at && snapshot.taken > *choice.at)) continue;
    found = snapshot;
  }
  return found;
}

std::vector<Source> find_sources(const tree::Tree& tree, const tree::Config& config, const SourceChoice& choice,
                                 const std::vector<int>& tiers, std::vector<std::string>* why_not) {
  std::vector<int> asked = choice.tier ? std::vector<int>{*choice.tier} : tiers;
  backup::StoreOptions options;
  if (choice.from && is_destination(*choice.from)) {
    options.to = choice.from;
    asked = {choice.from->starts_with("s3://") ? 3 : backup::tier_of_folder(*choice.from)};
    if (choice.tier && *choice.tier != asked.front())
      throw Error(Errc::usage,
                  fmt::format("{} holds snapshots of tier {}, not {}", *choice.from, asked.front(), *choice.tier),
                  "leave --tier out");
  }
  std::vector<std::string> reasons;
  std::vector<Source> found;
  bool configured = false;
  for (const int tier : asked) {
    const std::string destination = backup::destination_of(tree, config, tier, options.to);
    if (destination.empty() && !choice.tier) continue;
    configured = true;
    try {
      Source source{tier, destination, backup::open_store(tree, config, tier, options), {}};
      const auto snapshot = chosen(source.store->list(), choice);
      if (!snapshot) continue;
      source.snapshot = *snapshot;
      found.push_back(std::move(source));
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted || asked.size() == 1) throw;
      reasons.push_back(fmt::format("tier {}: {}", tier, with_hint(error)));
    }
  }
  if (!configured)
    throw Error(Errc::usage, "no tier has a destination",
                "name one in system.yaml (backup.tier1.to), or pass --from DEST");
  if (found.empty()) throw_none(choice, reasons);
  if (why_not != nullptr) *why_not = std::move(reasons);
  return found;
}

}  // namespace reef::recover
