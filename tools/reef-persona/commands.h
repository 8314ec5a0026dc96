#pragma once

#include "common/tree.h"
#include "reef/cli/app.h"

namespace reef::tool {

void add_list(CLI::App& app, cli::Session& session);
void add_show(CLI::App& app, cli::Session& session);
void add_rename(CLI::App& app, cli::Session& session);
void add_remove(CLI::App& app, cli::Session& session);
void add_export(CLI::App& app, cli::Session& session);
void add_import(CLI::App& app, cli::Session& session);

}  // namespace reef::tool
