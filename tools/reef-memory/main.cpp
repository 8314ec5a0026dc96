#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commands.h"
#include "reef/cli/run.h"
#include "reef/core/log.h"
#include "reef/embed/default_embedder.h"
#include "reef/tree/persona.h"

namespace reef::tool {

PersonaChoice add_persona(CLI::App& verb) {
  auto choice = std::make_shared<std::optional<std::string>>();
  verb.add_option("--persona", *choice, "Whose memories (default: the tree's only persona)")->type_name("ID");
  return choice;
}

std::string chosen_persona(const PersonaChoice& choice, const tree::Config& config) {
  if (*choice) {
    tree::require_persona(config, **choice);
    return **choice;
  }
  const auto all = tree::personas(config);
  if (all.size() == 1) return all.front();
  if (all.empty()) throw Error(Errc::not_found, "this tree has no persona", "add one: 'reef-init --persona ID'");
  throw Error(Errc::usage, "this tree has several personas",
              fmt::format("name one: --persona {}", fmt::join(all, ", ")));
}

memory::StoreOptions store_options(const tree::Config& config, std::chrono::milliseconds wait) {
  return {wait, config.number("system", "memory.half_life_days")};
}

std::unique_ptr<embed::Embedder> embedder_if_any(const tree::Tree& tree, const tree::Config& config) {
  try {
    return embed::open_default_embedder(tree, config);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    log_warn(
        "{}; memories have no vectors until it is there (bring it with 'scripts/fetch-embedding-model' or "
        "'reef-model import'), and are found by their words",
        error.what());
    return nullptr;
  }
}

}  // namespace reef::tool

int main(int argc, char** argv) {
  using namespace reef;
  return cli::run("reef-memory", "Keep what personas remember", argc, argv, [](CLI::App& app, cli::Session& session) {
    tool::add_remember(app, session);
    tool::add_consolidate(app, session);
    tool::add_search(app, session);
    tool::add_list(app, session);
    tool::add_show(app, session);
    tool::add_link(app, session);
    tool::add_forget(app, session);
    tool::add_state(app, session);
    tool::add_export(app, session);
    tool::add_verify(app, session);
  });
}
