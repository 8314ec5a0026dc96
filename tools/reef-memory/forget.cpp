#include "reef/memory/forget.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "commands.h"
#include "reef/core/log.h"
#include "reef/document/embedding_cache.h"
#include "reef/embed/default_embedder.h"
#include "reef/session/index.h"
#include "reef/session/turn_store.h"

namespace reef::tool {
namespace {

struct ForgetArguments {
  memory::ForgetOptions options;
  PersonaChoice persona;
  std::vector<std::string> ids;
  std::chrono::milliseconds wait{0};
  bool dry_run = false;
  bool yes = false;
};

/// Whether somebody at a terminal says yes to the plan.
bool is_agreed(memory::ForgetReport plan) {
  if (::isatty(STDIN_FILENO) == 0)
    throw Error(Errc::usage, "forgetting cannot be undone, and there is no terminal to ask at",
                "pass --yes; --dry-run shows what would go");
  plan.dry_run = false;
  std::cerr << memory::to_text(plan) << "Forget it for good? [y/N] " << std::flush;
  std::string answer;
  return std::getline(std::cin, answer) && (answer == "y" || answer == "Y" || answer == "yes");
}

/// Turns behind those that are gone are embedded without them, where there is a model.
void index_followers(const tree::Tree& tree, const tree::Config& config, const std::string& persona,
                     std::chrono::milliseconds wait, Progress& progress) {
  if (!session::TurnReader::exists(tree, persona) || session::pending_turns(tree, persona) == 0) return;
  const auto embedder = embedder_if_any(tree, config);
  if (embedder == nullptr) return;
  session::IndexOptions options;
  options.persona = persona;
  options.threads = cli::threads_or_all(0);
  options.wait = wait;
  try {
    session::index_turns(tree, options, *embedder, progress);
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    log_warn("{}; 'reef-session index' embeds what followed the messages that are gone", error.what());
  }
}

int forget(cli::Session& session, ForgetArguments& arguments) {
  memory::ForgetOptions& options = arguments.options;
  for (const std::string& id : arguments.ids) options.ids.push_back(memory::parse_id(id));
  const tree::Tree tree = open_tree(session, !arguments.dry_run);
  const tree::Config config = tree::Config::load(tree);
  const std::string persona = chosen_persona(arguments.persona, config);
  options.store = store_options(config, arguments.wait);
  memory::ForgetReport plan;
  if (arguments.dry_run || !arguments.yes) {
    plan = memory::plan_forget(tree, persona, options);
    if (arguments.dry_run) {
      session.show(plan);
      return plan.not_found.empty() ? 0 : kStatusPartial;
    }
    if (!plan.is_empty() && !is_agreed(plan)) throw Error(Errc::failed, "nothing was forgotten: nobody said yes");
    options.agreed = &plan;
  }
  const auto report = memory::forget(tree, persona, options);
  std::vector<std::string> texts;
  for (const auto& memory : report.memories) texts.push_back(memory.content);
  document::forget_passages(tree.embedding_cache(), texts);
  if (session.json() || !session.quiet()) session.show(report);
  if (!report.words_purged) log_warn("{}: {}", persona, report.not_purged);
  if (report.with_source && report.words_purged)
    index_followers(tree, config, persona, arguments.wait, session.progress());
  const bool archived =
      report.with_source && std::any_of(report.sessions.begin(), report.sessions.end(),
                                        [](const auto& s) { return !s.archive_file.empty() && s.messages < s.of; });
  return report.not_found.empty() && report.words_purged && !archived ? 0 : kStatusPartial;
}

}  // namespace

void add_forget(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<ForgetArguments>();
  CLI::App* verb = cli::add_verb(app, "forget", "Remove memories everywhere, and never learn them again",
                                 "reef-memory forget --matching 'cellar key' --persona alice --dry-run");
  auto* ids = verb->add_option("ids", arguments->ids, "Memories to forget, such as M12")->type_name("ID");
  auto* from = verb->add_option("--session", arguments->options.session, "All that came from this session")
                   ->excludes(ids)
                   ->type_name("SESSION");
  verb->add_option("--matching", arguments->options.matching,
                   "All that hold this in text, tags or speaker, whatever its case")
      ->excludes(ids)
      ->excludes(from)
      ->type_name("TEXT");
  verb->add_flag("--with-source", arguments->options.with_source, "The messages that said it, too");
  arguments->persona = add_persona(*verb);
  cli::add_dry_run(*verb, arguments->dry_run);
  cli::add_yes(*verb, arguments->yes, "Do not ask");
  cli::add_wait(*verb, arguments->wait);
  verb->callback([=, &session] { session.choose([=, &session] { return forget(session, *arguments); }); });
}

}  // namespace reef::tool
