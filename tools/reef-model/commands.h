#pragma once

#include "reef/cli/app.h"
#include "reef/tree/tree.h"

namespace reef::tool {

void add_import(CLI::App& app, cli::Session& session);
void add_list(CLI::App& app, cli::Session& session);
void add_show(CLI::App& app, cli::Session& session);
void add_manifest(CLI::App& app, cli::Session& session);
void add_repack(CLI::App& app, cli::Session& session);
void add_load(CLI::App& app, cli::Session& session);
void add_cache(CLI::App& app, cli::Session& session);
void add_verify(CLI::App& app, cli::Session& session);
void add_extract(CLI::App& app, cli::Session& session);
void add_diff(CLI::App& app, cli::Session& session);
void add_duplicates(CLI::App& app, cli::Session& session);
void add_stream(CLI::App& app, cli::Session& session);

/// The tree of this run, as its owner when the command writes.
tree::Tree open_tree(const cli::Session& session, bool writes);

}  // namespace reef::tool
