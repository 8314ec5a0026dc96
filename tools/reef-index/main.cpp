#include <fmt/format.h>

#include "commands.h"
#include "reef/cli/run.h"
#include "reef/core/log.h"
#include "reef/tree/init.h"
#include "reef/tree/persona.h"

namespace reef::tool {

void warn_missing(const tree::MissingStore& missing) { log_warn("{} ({})", missing.what, missing.hint); }

void add_scope(CLI::App& app, const std::shared_ptr<ScopeChoice>& choice) {
  auto* persona = app.add_option("--persona", choice->persona, "Scope: this persona")->type_name("ID");
  app.add_flag("--shared", choice->shared, "Scope: shared knowledge (default)")->excludes(persona);
}

tree::Scope chosen_scope(const ScopeChoice& choice, const tree::Config& config) {
  if (!choice.persona) return tree::Scope::shared();
  tree::require_persona(config, *choice.persona);
  return tree::Scope::persona(*choice.persona);
}

}  // namespace reef::tool

int main(int argc, char** argv) {
  using namespace reef;
  return cli::run("reef-index", "Ingest documents and answer questions from them", argc, argv,
                  [](CLI::App& app, cli::Session& session) {
                    tool::add_ingest(app, session);
                    tool::add_add(app, session);
                    tool::add_remove(app, session);
                    tool::add_query(app, session);
                    tool::add_show(app, session);
                    tool::add_embed(app, session);
                    tool::add_build(app, session);
                    tool::add_verify(app, session);
                    tool::add_stat(app, session);
                    tool::add_bench(app, session);
                    tool::add_export(app, session);
                    tool::add_shard(app, session);
                  });
}
