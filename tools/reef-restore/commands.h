#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reef/cli/app.h"
#include "reef/recover/source.h"

namespace reef::tool {

void add_files(CLI::App& app, cli::Session& session);
void add_drill(CLI::App& app, cli::Session& session);
void add_persona(CLI::App& app, cli::Session& session);
void add_system(CLI::App& app, cli::Session& session);

/// --from, --at and --tier.
using SharedSourceChoice = std::shared_ptr<recover::SourceChoice>;
SharedSourceChoice add_source_choice(CLI::App& verb);

/// Whether a result is printed though all is well: cron is told nothing then.
bool is_told(const cli::Session& session);

}  // namespace reef::tool
