#include "reef/session/index.h"
#include "commands.h"
#include "reef/core/log.h"
#include "reef/embed/default_embedder.h"
#include "reef/session/schema.h"
#include "reef/session/turn_store.h"
#include "reef/session/words.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

struct IndexChoice {
  std::optional<std::string> persona;
  bool all = false;
  bool rebuild_words = false;
  session::IndexOptions options;
};

int rebuild_words(cli::Session& session, std::chrono::milliseconds wait) {
  const auto report = session::rebuild_words(open_tree(session, true), wait, session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  return report.unread == 0 ? 0 : kStatusPartial;
}

/// Each persona's, by the model that its vectors are of, or the default one.
int index(cli::Session& session, IndexChoice& choice) {
  if (choice.rebuild_words) return rebuild_words(session, choice.options.wait);
  if (choice.persona.has_value() == choice.all)
    throw Error(Errc::usage, "name --persona ID or --all", "try 'reef-session index --help'");
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree);
  std::vector<std::string> personas;
  if (choice.persona) {
    tree::require_persona(config, *choice.persona);
    personas.push_back(*choice.persona);
  } else {
    personas = tree::personas(config);
  }
  // One of another program, or of before this version, is brought up to date.
  if (std::error_code ignored; std::filesystem::exists(session::conversations_file(tree), ignored))
    session::open_conversations(tree);
  const auto embedder = embed::open_default_embedder(tree, config);
  choice.options.threads = cli::threads_or_all(choice.options.threads);
  choice.options.other_models_only = choice.all;
  std::vector<session::IndexReport> reports;
  bool failed = false;
  for (const std::string& persona : personas) {
    if (choice.all && session::pending_turns(tree, persona) == 0 && !session::TurnReader::exists(tree, persona))
      continue;
    choice.options.persona = persona;
    try {
      reports.push_back(session::index_turns(tree, choice.options, *embedder, session.progress()));
    } catch (const std::exception&) {
      const Error error = current_error();
      if (choice.persona || error.code() == Errc::interrupted) throw;
      log_warn("{}: {}{}", persona, error.what(), error.hint().empty() ? "" : " (" + error.hint() + ")");
      failed = true;
    }
  }
  if (session.json() || !session.quiet()) session.show(reports);
  return failed ? kStatusPartial : 0;
}

}  // namespace

void add_index(CLI::App& app, cli::Session& session) {
  auto choice = std::make_shared<IndexChoice>();
  CLI::App* verb =
      cli::add_verb(app, "index", "Embed the messages that are not embedded yet", "reef-session index --persona alice");
  auto* persona = verb->add_option("--persona", choice->persona, "This persona's")->type_name("ID");
  auto* all = verb->add_flag("--all", choice->all, "Those of all personas")->excludes(persona);
  auto* again = verb->add_flag("--again", choice->options.again, "Embed all of them anew, by the default model");
  verb->add_flag("--rebuild-words", choice->rebuild_words, "Make the full text of all personas anew instead")
      ->excludes(persona)
      ->excludes(all)
      ->excludes(again);
  cli::add_threads(*verb, choice->options.threads);
  cli::add_wait(*verb, choice->options.wait);
  verb->callback([=, &session] { session.choose([=, &session] { return index(session, *choice); }); });
}

}  // namespace reef::tool
