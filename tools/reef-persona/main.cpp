#include "commands.h"
#include "reef/cli/run.h"

int main(int argc, char** argv) {
  using namespace reef;
  return cli::run("reef-persona", "See and change what belongs to a persona", argc, argv,
                  [](CLI::App& app, cli::Session& session) {
                    tool::add_list(app, session);
                    tool::add_show(app, session);
                    tool::add_rename(app, session);
                    tool::add_remove(app, session);
                    tool::add_export(app, session);
                    tool::add_import(app, session);
                  });
}
