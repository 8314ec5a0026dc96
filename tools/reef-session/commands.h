#pragma once

#include <optional>
#include <string>

#include "common/tree.h"
#include "reef/cli/app.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::tool {

void add_import(CLI::App& app, cli::Session& session);
void add_append(CLI::App& app, cli::Session& session);
void add_index(CLI::App& app, cli::Session& session);
void add_search(CLI::App& app, cli::Session& session);
void add_list(CLI::App& app, cli::Session& session);
void add_show(CLI::App& app, cli::Session& session);
void add_export(CLI::App& app, cli::Session& session);
void add_archive(CLI::App& app, cli::Session& session);
void add_delete(CLI::App& app, cli::Session& session);
void add_verify(CLI::App& app, cli::Session& session);

/// --persona, if it was given: Error{not_found} when personas.yaml has no such one.
void require_known(const tree::Tree& tree, const std::optional<std::string>& persona);

}  // namespace reef::tool
