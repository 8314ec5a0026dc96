#include "commands.h"
#include "reef/cli/run.h"
#include "reef/tree/init.h"
#include "reef/tree/persona.h"

namespace reef::tool {

tree::Tree open_tree(const cli::Session& session, bool writes) {
  tree::Tree tree = tree::Tree::open(tree::Tree::find_root(session.root()));
  if (writes) tree::act_as_owner(tree);
  return tree;
}

void require_known(const tree::Tree& tree, const std::optional<std::string>& persona) {
  if (persona) tree::require_persona(tree::Config::load(tree, {"personas"}), *persona);
}

}  // namespace reef::tool

int main(int argc, char** argv) {
  using namespace reef;
  return cli::run("reef-session", "Keep conversations", argc, argv, [](CLI::App& app, cli::Session& session) {
    tool::add_import(app, session);
    tool::add_append(app, session);
    tool::add_list(app, session);
    tool::add_show(app, session);
    tool::add_export(app, session);
    tool::add_archive(app, session);
    tool::add_delete(app, session);
    tool::add_verify(app, session);
  });
}
