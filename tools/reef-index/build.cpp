#include "reef/document/build.h"

#include <fmt/format.h>

#include "commands.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/document/bench.h"
#include "reef/document/export.h"
#include "reef/document/stores.h"
#include "reef/document/verify.h"
#include "reef/embed/default_embedder.h"
#include "reef/tree/parts.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

struct BuildArguments {
  document::BuildOptions options;
  std::shared_ptr<ScopeChoice> scope = std::make_shared<ScopeChoice>();
  std::shared_ptr<GivenChoice> given = std::make_shared<GivenChoice>();
  bool all = false;
};

/// A number from 0 to 1; CLI::Range would let "nan" pass.
template <typename T>
void add_share(CLI::App& verb, const std::string& name, T& value, const std::string& about) {
  const auto check = [](const std::string& text) {
    double share = -1;
    const bool valid = CLI::detail::lexical_cast(text, share) && share >= 0 && share <= 1;
    return valid ? std::string() : fmt::format("'{}' is no number from 0 to 1", text);
  };
  verb.add_option(name, value, about)->check(check)->type_name("SHARE");
}

/// Builds one scope. Returns the status that it deserves.
int build_scope(cli::Session& session, const tree::Tree& tree, const tree::Config& config, BuildArguments& arguments,
                embed::Embedder* embedder) {
  document::BuildOptions& options = arguments.options;
  if (embedder) {
    const document::ReembedOptions again{.scope = options.scope,
                                         .threads = options.threads,
                                         .wait = options.wait,
                                         .cache_cap_bytes = config.size_bytes("system", "cache.embedding.cap_bytes")};
    if (embed_again(session, tree, again, *embedder)) return 0;
  }
  const auto report = document::build(tree, options, session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  if (!report.codes_lose.empty() && report.index != vector::IndexKind::float_graph)
    log_warn("{}: {}", report.scope, report.codes_lose);
  if (!report.words_purged)
    log_warn(
        "{}: a program that reads the store kept words of what was removed in metadata.sqlite; build once more "
        "when it has ended",
        report.scope);
  if (report.reaches_recall()) return 0;
  warn_short_of_recall(report.scope, report.recall->graph, report.asked_recall);
  return options.recall ? kStatusFault : 0;
}

/// Every scope that has a store; what one of them lacks or cannot do holds up no other.
int build_all(cli::Session& session, const tree::Tree& tree, const tree::Config& config, BuildArguments& arguments,
              embed::Embedder* embedder) {
  int status = 0;
  for (const tree::Scope& scope : document::scopes_of(tree, tree::personas(config))) {
    const auto all_missing = tree::missing_stores(tree, scope);
    for (const auto& missing : all_missing) warn_missing(missing);
    if (!all_missing.empty()) status = kStatusPartial;
    if (!all_missing.empty() || !document::holds_store(tree, scope)) continue;
    arguments.options.scope = scope;
    try {
      const int own = build_scope(session, tree, config, arguments, embedder);
      if (status == 0) status = own;
    } catch (const std::exception&) {
      const Error error = current_error();
      if (error.code() == Errc::interrupted) throw;
      session.progress().end();
      log_warn("{} is left as it is: {}{}", scope.name(), error.what(),
               error.hint().empty() ? "" : fmt::format(" ({})", error.hint()));
      status = kStatusPartial;
    }
  }
  return status;
}

int build(cli::Session& session, BuildArguments& arguments) {
  if (arguments.given->vectors) {
    document::GivenOptions given;
    given.threads = arguments.options.threads;
    given.wait = arguments.options.wait;
    return build_from_vectors(session, *arguments.given, given, *arguments.scope);
  }
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree);
  arguments.options.threads = cli::threads_or_all(arguments.options.threads);
  std::unique_ptr<embed::Embedder> embedder;
  if (arguments.given->embedding) embedder = embed::open_embedder(tree, config, *arguments.given->embedding);
  if (arguments.all) return build_all(session, tree, config, arguments, embedder.get());
  arguments.options.scope = chosen_scope(*arguments.scope, config);
  return build_scope(session, tree, config, arguments, embedder.get());
}

}  // namespace

void add_build(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<BuildArguments>();
  CLI::App* verb =
      cli::add_verb(app, "build", "Build the graph anew and purge removed vectors; queries go on meanwhile",
                    "reef-index build --persona alice");
  add_scope(*verb, arguments->scope);
  verb->add_flag("--all", arguments->all, "Every scope that has a store")->excludes("--persona")->excludes("--shared");
  verb->add_option("--factory", arguments->options.factory,
                   "Make what FAISS's index_factory knows by this name, such as IVF1024,PQ48")
      ->check([](const std::string& text) { return text.empty() ? "it is empty" : ""; })
      ->type_name("FACTORY");
  add_share(*verb, "--recall", arguments->options.recall, "Share of the nearest that it must find (default: .95)");
  add_given(*verb, arguments->given, false);
  for (const char* const given : {"--vectors", "--embedding"})
    verb->get_option(given)->excludes("--factory")->excludes("--recall");
  verb->get_option("--vectors")->excludes("--all");
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
  add_share(*verb, "--recall", options->recall, "Recall that the search is to reach (default: .95)");
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
