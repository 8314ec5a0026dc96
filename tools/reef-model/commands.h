#pragma once

#include <filesystem>

#include "common/tree.h"
#include "reef/cli/app.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::tool {

void add_import(CLI::App& app, cli::Session& session);
void add_fetch(CLI::App& app, cli::Session& session);
void add_archive(CLI::App& app, cli::Session& session);
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

/// Makes the first question as fast as the second, if the model in `folder` embeds texts. Whatever fails here fails
/// again, with the same words, where the model is used, so what was brought stands.
void compile_encoder(const tree::Tree& tree, const tree::Config& config, const std::filesystem::path& folder);

}  // namespace reef::tool
