#include <unistd.h>

#include "commands.h"
#include "reef/cli/run.h"

namespace reef::tool {

SharedTierChoice add_tier_choice(CLI::App& verb) {
  auto choice = std::make_shared<TierChoice>();
  verb.add_option("--tier", choice->tier, "Only this tier (default: all that are configured)")
      ->check(CLI::IsMember({1, 2, 3}))
      ->type_name("N");
  verb.add_option("--to", choice->store.to, "Where the tier is, in place of backup.tierN.to")->type_name("DEST");
  return choice;
}

std::vector<int> chosen_tiers(const TierChoice& choice, const tree::Config& config) {
  if (choice.tier) return {*choice.tier};
  if (choice.store.to) return {choice.store.to->starts_with("s3://") ? 3 : backup::tier_of_folder(*choice.store.to)};
  std::vector<int> tiers = backup::configured_tiers(config);
  if (tiers.empty())
    throw Error(Errc::usage, "no tier has a destination",
                "name one in system.yaml (backup.tier1.to), or pass --to DEST");
  return tiers;
}

bool is_told(const cli::Session& session) {
  return session.json() || session.verbosity() > 0 || (!session.quiet() && ::isatty(STDOUT_FILENO) == 1);
}

}  // namespace reef::tool

int main(int argc, char** argv) {
  using namespace reef;
  return cli::run("reef-backup", "Back up a storage tree", argc, argv, [](CLI::App& app, cli::Session& session) {
    tool::add_tiers(app, session);
    tool::add_list(app, session);
    tool::add_verify(app, session);
    tool::add_prune(app, session);
  });
}
