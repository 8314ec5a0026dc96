#pragma once

#include <memory>
#include <vector>

#include "reef/backup/run.h"
#include "reef/cli/app.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::tool {

/// tier1, tier2 and tier3.
void add_tiers(CLI::App& app, cli::Session& session);
void add_list(CLI::App& app, cli::Session& session);
void add_verify(CLI::App& app, cli::Session& session);
void add_prune(CLI::App& app, cli::Session& session);

/// --tier and --to, which go together: which snapshots a verb looks at.
struct TierChoice {
  std::optional<int> tier;
  backup::StoreOptions store;
};
using SharedTierChoice = std::shared_ptr<TierChoice>;
SharedTierChoice add_tier_choice(CLI::App& verb);
/// The tier named, or that of the folder that --to names; all that are configured where none is. Throws Error{usage}
/// where none is configured.
std::vector<int> chosen_tiers(const TierChoice& choice, const tree::Config& config);

/// Whether a result is printed though all is well: cron is told nothing then.
bool is_told(const cli::Session& session);

}  // namespace reef::tool
