#include "reef/recover/persona.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

#include "commands.h"
#include "common/tree.h"
#include "reef/core/log.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

struct PersonaArguments {
  recover::PersonaOptions options;
  bool dry_run = false;
  bool yes = false;
};

/// Whether somebody at a terminal says yes to the plan.
bool is_agreed(const recover::RestoreReport& plan) {
  if (::isatty(STDIN_FILENO) == 0)
    throw Error(Errc::usage, "a restore takes the place of what is there, and there is no terminal to ask at",
                "pass --yes; --dry-run shows what would be lost");
  std::cerr << recover::to_text(plan) << "Restore it? [y/N] " << std::flush;
  std::string answer;
  return std::getline(std::cin, answer) && (answer == "y" || answer == "Y" || answer == "yes");
}

int persona(cli::Session& session, const recover::SourceChoice& choice, PersonaArguments arguments) {
  tree::require_persona_id(arguments.options.persona);
  const tree::Tree tree = open_tree(session, !arguments.dry_run);
  const tree::Config config = tree::Config::load(tree, {"system"});
  arguments.options.threads = cli::threads_or_all(arguments.options.threads);
  std::vector<std::string> why_not;
  const auto sources = recover::find_sources(tree, config, choice, {1, 2, 3}, &why_not);
  for (const std::string& reason : why_not) log_warn("{}", reason);
  const recover::Source& source = sources.front();
  if (arguments.dry_run || !arguments.yes) {
    const auto plan = recover::plan_persona(tree, config, source, arguments.options);
    if (arguments.dry_run) {
      session.show(plan);
      return 0;
    }
    if (!is_agreed(plan)) throw Error(Errc::failed, "nothing was restored: nobody said yes");
  }
  const auto report = recover::restore_persona(tree, config, source, arguments.options, session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  return 0;
}

}  // namespace

void add_persona(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<PersonaArguments>();
  CLI::App* verb = cli::add_verb(app, "persona", "Restore one persona while the others go on",
                                 "reef-restore persona alice --dry-run");
  verb->add_option("id", arguments->options.persona, "The persona")->required()->type_name("ID");
  auto choice = add_source_choice(*verb);
  cli::add_dry_run(*verb, arguments->dry_run);
  cli::add_yes(*verb, arguments->yes, "Do not ask");
  cli::add_wait(*verb, arguments->options.wait);
  cli::add_threads(*verb, arguments->options.threads);
  verb->callback([=, &session] { session.choose([=, &session] { return persona(session, *choice, *arguments); }); });
}

}  // namespace reef::tool
