#include <unistd.h>

#include "commands.h"
#include "reef/cli/run.h"
#include "reef/core/time.h"

namespace reef::tool {

SharedSourceChoice add_source_choice(CLI::App& verb) {
  auto choice = std::make_shared<recover::SourceChoice>();
  verb.add_option("--from", choice->from, "This snapshot, or the newest of this folder or s3://BUCKET/PREFIX")
      ->type_name("SOURCE");
  verb.add_option_function<std::string>(
          "--at", [choice](const std::string& text) { choice->at = parse_time(text); },
          "The newest snapshot that was taken by then")
      ->type_name("TIME");
  verb.add_option("--tier", choice->tier, "Snapshots of this tier alone")
      ->check(CLI::IsMember({1, 2, 3}))
      ->type_name("N");
  return choice;
}

bool is_told(const cli::Session& session) {
  return session.json() || session.verbosity() > 0 || (!session.quiet() && ::isatty(STDOUT_FILENO) == 1);
}

}  // namespace reef::tool

int main(int argc, char** argv) {
  using namespace reef;
  return cli::run("reef-restore", "Restore from backups", argc, argv, [](CLI::App& app, cli::Session& session) {
    tool::add_files(app, session);
    tool::add_persona(app, session);
    tool::add_system(app, session);
    tool::add_drill(app, session);
  });
}
