#include "reef/document/build.h"

#include "commands.h"
#include "reef/core/error.h"
#include "reef/core/units.h"
#include "reef/document/bench.h"
#include "reef/document/export.h"
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
  CLI::App* verb =
      cli::add_verb(app, "build", "Build the graph anew and purge removed vectors; queries go on meanwhile",
                    "reef-index build --persona alice");
  add_scope(*verb, arguments->scope);
  verb->add_flag("--all", arguments->all, "Every scope that has a store")->excludes("--persona")->excludes("--shared");
  cli::add_wait(*verb, arguments->options.wait);
  cli::add_threads(*verb, arguments->options.threads);
  verb->callback([=, &session] { session.choose([=, &session] { return build(session, *arguments); }); });
}

void add_bench(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<document::BenchOptions>();
  auto scope = std::make_shared<ScopeChoice>();
  auto questions = std::make_shared<std::uint64_t>(options->questions);
  CLI::App* verb = cli::add_verb(app, "bench", "Recall and speed of searches over a scope's own vectors",
                                 "reef-index bench --persona alice --recall .98");
  add_scope(*verb, scope);
  cli::add_count(*verb, "--questions", *questions, "Vectors to ask for (default: 200)");
  verb->add_option("--recall", options->recall, "Recall that the search is to reach (default: .95)")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("SHARE");
  verb->callback([=, &session] {
    session.choose([=, &session] {
      if (*questions == 0) throw Error(Errc::usage, "--questions must be at least 1", "");
      const tree::Tree tree = open_tree(session, false);
      options->scope = chosen_scope(*scope, tree::Config::load(tree));
      options->questions = *questions;
      session.show(document::bench(tree, *options, session.progress()));
      return 0;
    });
  });
}

void add_export(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<document::ExportOptions>();
  auto scope = std::make_shared<ScopeChoice>();
  CLI::App* verb = cli::add_verb(app, "export", "Copy a scope's files, all of one generation, for other programs",
                                 "reef-index export --to /srv/vectors");
  add_scope(*verb, scope);
  verb->add_option("--to", options->to, "Folder that is absent or empty")->required()->type_name("DIR");
  cli::add_wait(*verb, options->wait);
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, true);
      options->scope = chosen_scope(*scope, tree::Config::load(tree));
      const auto report = document::export_store(tree, *options);
      if (session.json() || !session.quiet()) session.show(report);
      return 0;
    });
  });
}

}  // namespace reef::tool
