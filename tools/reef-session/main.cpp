#include "commands.h"
#include "reef/cli/run.h"
#include "reef/tree/persona.h"

namespace reef::tool {

void require_known(const tree::Tree& tree, const std::optional<std::string>& persona) {
  if (persona) tree::require_persona(tree::Config::load(tree, {"personas"}), *persona);
}

}  // namespace reef::tool

int main(int argc, char** argv) {
  using namespace reef;
  return cli::run("reef-session", "Keep and search conversations", argc, argv,
                  [](CLI::App& app, cli::Session& session) {
                    tool::add_import(app, session);
                    tool::add_append(app, session);
                    tool::add_index(app, session);
                    tool::add_search(app, session);
                    tool::add_list(app, session);
                    tool::add_show(app, session);
                    tool::add_export(app, session);
                    tool::add_archive(app, session);
                    tool::add_delete(app, session);
                    tool::add_verify(app, session);
                  });
}
