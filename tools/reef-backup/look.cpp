#include <fmt/format.h>

#include "commands.h"
#include "common/tree.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

/// Runs `work` for each tier; one whose destination is not there does not keep the others, unless it is alone.
template <typename Work>
int for_each_tier(const std::vector<int>& tiers, Work work) {
  int status = 0;
  for (const int tier : tiers) {
    try {
      work(tier);
    } catch (const Error& error) {
      if (tiers.size() == 1 || error.code() == Errc::interrupted || error.code() == Errc::usage) throw;
      log_warn("tier {}: {}", tier, with_hint(error));
      status = kStatusPartial;
    }
  }
  return status;
}

int list(cli::Session& session, const TierChoice& choice) {
  const tree::Tree tree = open_tree(session, false);
  const tree::Config config = tree::Config::load(tree, {"system"});
  std::vector<backup::Listing> listings;
  const int status = for_each_tier(chosen_tiers(choice, config), [&](int tier) {
    backup::Listing listing{tier, backup::destination_of(tree, config, tier, choice.store.to), {}};
    listing.snapshots = backup::open_store(tree, config, tier, choice.store)->list();
    listings.push_back(std::move(listing));
  });
  if (session.json()) {
    if (const std::string lines = to_json(listings); !lines.empty()) cli::Session::print(lines + "\n");
  } else {
    cli::Session::print(to_text(listings));
  }
  return status;
}

struct VerifyArguments {
  std::optional<std::string> snapshot;
  bool all = false;
  std::string sample = "100%";
};

/// "5%", "5" or "0.5%" as a part of 1.
double part_of(std::string text) {
  const std::string given = text;
  if (text.ends_with('%')) text.pop_back();
  char* end = nullptr;
  const double percent = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(percent > 0 && percent <= 100))
    throw Error(Errc::usage, fmt::format("--sample: '{}' is no percentage above 0 and up to 100", given),
                "such as --sample 5%");
  return percent / 100;
}

/// The tiers that hold a snapshot of that id.
std::vector<int> holding(const tree::Tree& tree, const tree::Config& config, const TierChoice& choice,
                         const std::vector<int>& tiers, const std::string& id) {
  std::vector<int> found;
  for_each_tier(tiers, [&](int tier) {
    for (const backup::Snapshot& snapshot : backup::open_store(tree, config, tier, choice.store)->list())
      if (snapshot.id == id) found.push_back(tier);
  });
  if (found.empty())
    throw Error(Errc::not_found, fmt::format("there is no snapshot '{}'", id),
                "'reef-backup list' shows those there are");
  return found;
}

int verify(cli::Session& session, const TierChoice& choice, const VerifyArguments& arguments) {
  backup::VerifyOptions options;
  options.snapshot = arguments.snapshot;
  options.sample = part_of(arguments.sample);
  options.threads = choice.store.threads;
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree, {"system"});
  std::vector<int> tiers = chosen_tiers(choice, config);
  if (options.snapshot) tiers = holding(tree, config, choice, tiers, *options.snapshot);
  std::vector<backup::TierVerified> verified;
  bool sound = true;
  int status = for_each_tier(tiers, [&](int tier) {
    verified.push_back(backup::verify(tree, config, tier, choice.store, options, session.progress()));
    sound = sound && verified.back().report.faults.empty();
  });
  if (!verified.empty() && (!sound || is_told(session))) session.show(verified);
  return sound ? status : kStatusFault;
}

int prune(cli::Session& session, const TierChoice& choice, bool dry_run) {
  const tree::Tree tree = open_tree(session, !dry_run);
  const tree::Config config = tree::Config::load(tree, {"system"});
  std::vector<backup::TierPruned> pruned;
  const int status = for_each_tier(chosen_tiers(choice, config), [&](int tier) {
    pruned.push_back(backup::prune(tree, config, tier, choice.store, dry_run));
  });
  if (!pruned.empty() && (dry_run || is_told(session))) session.show(pruned);
  return status;
}

}  // namespace

void add_list(CLI::App& app, cli::Session& session) {
  CLI::App* verb = cli::add_verb(app, "list", "Show the snapshots that there are", "reef-backup list --tier 1");
  auto choice = add_tier_choice(*verb);
  verb->callback([=, &session] { session.choose([=, &session] { return list(session, *choice); }); });
}

void add_verify(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* verb = cli::add_verb(app, "verify", "Read snapshots and check every byte, or a sample",
                                 "reef-backup verify --sample 5%");
  auto* snapshot = verb->add_option("snapshot", arguments->snapshot, "One snapshot")->type_name("SNAPSHOT");
  verb->add_flag("--all", arguments->all, "All of them (the default)")->excludes(snapshot);
  auto choice = add_tier_choice(*verb);
  verb->add_option("--sample", arguments->sample, "Read this part of the content, another one each time")
      ->type_name("PERCENT");
  cli::add_wait(*verb, choice->store.wait);
  cli::add_threads(*verb, choice->store.threads);
  verb->callback([=, &session] { session.choose([=, &session] { return verify(session, *choice, *arguments); }); });
}

void add_prune(CLI::App& app, cli::Session& session) {
  auto dry_run = std::make_shared<bool>(false);
  CLI::App* verb = cli::add_verb(app, "prune", "Remove the snapshots that backup.tierN.keep does not keep",
                                 "reef-backup prune --tier 1 --dry-run");
  auto choice = add_tier_choice(*verb);
  cli::add_dry_run(*verb, *dry_run);
  cli::add_wait(*verb, choice->store.wait);
  verb->callback([=, &session] { session.choose([=, &session] { return prune(session, *choice, *dry_run); }); });
}

}  // namespace reef::tool
