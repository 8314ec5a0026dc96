#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/tree.h"
#include "reef/cli/app.h"
#include "reef/embed/embedder.h"
#include "reef/memory/store.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::tool {

void add_remember(CLI::App& app, cli::Session& session);
void add_consolidate(CLI::App& app, cli::Session& session);
void add_search(CLI::App& app, cli::Session& session);
void add_list(CLI::App& app, cli::Session& session);
void add_show(CLI::App& app, cli::Session& session);
void add_link(CLI::App& app, cli::Session& session);
void add_forget(CLI::App& app, cli::Session& session);
void add_state(CLI::App& app, cli::Session& session);
void add_export(CLI::App& app, cli::Session& session);
void add_verify(CLI::App& app, cli::Session& session);

/// --persona ID.
using PersonaChoice = std::shared_ptr<std::optional<std::string>>;
PersonaChoice add_persona(CLI::App& verb);
/// The persona named; the only one of the tree when none is. Error{usage} when there are several, Error{not_found} for
/// one that is not in personas.yaml.
std::string chosen_persona(const PersonaChoice& choice, const tree::Config& config);

memory::StoreOptions store_options(const tree::Config& config, std::chrono::milliseconds wait = {});

/// The default embedder; none, and a warning that says what it means, when its model is not there.
std::unique_ptr<embed::Embedder> embedder_if_any(const tree::Tree& tree, const tree::Config& config);

}  // namespace reef::tool
