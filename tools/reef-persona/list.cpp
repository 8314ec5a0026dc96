#include "commands.h"
#include "reef/persona/survey.h"

namespace reef::tool {
namespace {

/// What of it could not be looked at makes an answer one in part.
bool is_whole(const persona::Survey& survey) { return survey.missing.empty() && survey.unreadable.empty(); }

int list(cli::Session& session) {
  const tree::Tree tree = open_tree(session, false);
  const auto personas = persona::survey(tree, tree::Config::load(tree));
  int status = 0;
  for (const auto& survey : personas)
    if (!is_whole(survey)) status = kStatusPartial;
  if (!personas.empty()) session.show(personas);
  return status;
}

int show(cli::Session& session, const std::string& id) {
  const tree::Tree tree = open_tree(session, false);
  const auto details = persona::describe(tree, tree::Config::load(tree), id);
  session.show(details);
  return is_whole(details.survey) ? 0 : kStatusPartial;
}

}  // namespace

void add_list(CLI::App& app, cli::Session& session) {
  CLI::App* verb = cli::add_verb(app, "list", "Show which personas there are, and what each has", "reef-persona list");
  verb->callback([&session] { session.choose([&session] { return list(session); }); });
}

void add_show(CLI::App& app, cli::Session& session) {
  auto id = std::make_shared<std::string>();
  CLI::App* verb = cli::add_verb(app, "show", "Show all about one: configuration, places, sizes, adapters",
                                 "reef-persona show alice");
  verb->add_option("id", *id, "The persona")->required()->type_name("ID");
  verb->callback([=, &session] { session.choose([=, &session] { return show(session, *id); }); });
}

}  // namespace reef::tool
