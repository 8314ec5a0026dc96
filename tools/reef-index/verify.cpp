#include "reef/document/verify.h"
#include "commands.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

/// The scope chosen, or all that there are.
std::vector<tree::Scope> wanted_scopes(const tree::Tree& tree, const ScopeChoice& choice) {
  const tree::Config config = tree::Config::load(tree);
  if (!choice.persona && !choice.shared) return document::scopes_of(tree, tree::personas(config));
  return {chosen_scope(choice, config)};
}

}  // namespace

void add_verify(CLI::App& app, cli::Session& session) {
  auto choice = std::make_shared<ScopeChoice>();
  auto wait = std::make_shared<std::chrono::milliseconds>(0);
  auto with_faiss = std::make_shared<bool>(false);
  CLI::App* verb =
      cli::add_verb(app, "verify", "Compare everything that belongs together; changes nothing", "reef-index verify");
  auto* persona =
      verb->add_option("--persona", choice->persona, "Only this persona (default: every scope)")->type_name("ID");
  verb->add_flag("--shared", choice->shared, "Only shared knowledge")->excludes(persona);
  verb->add_flag("--with-faiss", *with_faiss, "Have FAISS read the indexes and compare what it finds");
  cli::add_wait(*verb, *wait);
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, true);
      const auto report = document::verify(tree, wanted_scopes(tree, *choice), *wait, session.progress(), *with_faiss);
      if (session.json() || !session.quiet() || !report.faults.empty()) session.show(report);
      return report.faults.empty() ? 0 : kStatusFault;
    });
  });
}

void add_stat(CLI::App& app, cli::Session& session) {
  auto choice = std::make_shared<ScopeChoice>();
  CLI::App* verb = cli::add_verb(app, "stat", "What each scope holds", "reef-index stat");
  auto* persona =
      verb->add_option("--persona", choice->persona, "Only this persona (default: every scope)")->type_name("ID");
  verb->add_flag("--shared", choice->shared, "Only shared knowledge")->excludes(persona);
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, false);
      const auto report = document::stat(tree, wanted_scopes(tree, *choice));
      session.show(report);
      for (const auto& missing : report.missing) warn_missing(missing);
      return report.missing.empty() ? 0 : kStatusPartial;
    });
  });
}

}  // namespace reef::tool
