#include "reef/document/build.h"

#include "commands.h"
#include "reef/document/store.h"
#include "reef/document/verify.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

struct BuildArguments {
  document::BuildOptions options;
  std::shared_ptr<ScopeChoice> scope = std::make_shared<ScopeChoice>();
  bool all = false;
};

int build(cli::Session& session, BuildArguments& arguments) {
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree);
  document::BuildOptions& options = arguments.options;
  options.threads = cli::threads_or_all(options.threads);
  std::vector<tree::Scope> scopes{chosen_scope(*arguments.scope, config)};
  if (arguments.all) {
    scopes = document::scopes_of(tree, tree::personas(config));
    std::erase_if(scopes, [&](const auto& scope) { return !document::Snapshot::exists(tree.vectors(scope)); });
  }
  for (const tree::Scope& scope : scopes) {
    options.scope = scope;
    const auto report = document::build(tree, options, session.progress());
    if (session.json() || !session.quiet()) session.show(report);
  }
  return 0;
}

}  // namespace

void add_build(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<BuildArguments>();
  CLI::App* verb = cli::add_verb(app, "build", "Build the graph anew and purge removed vectors; queries go on meanwhile",
                                 "reef-index build --persona alice");
  add_scope(*verb, arguments->scope);
  verb->add_flag("--all", arguments->all, "Every scope that has a store")->excludes("--persona")->excludes("--shared");
  cli::add_wait(*verb, arguments->options.wait);
  cli::add_threads(*verb, arguments->options.threads);
  verb->callback([=, &session] { session.choose([=, &session] { return build(session, *arguments); }); });
}

}  // namespace reef::tool
