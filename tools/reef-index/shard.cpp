#include <fmt/format.h>

#include "commands.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/document/shard_moves.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

struct ShardArguments {
  std::string action;
  document::ShardOptions options;
  bool dry_run = false;
};

int tell(cli::Session& session, const document::ShardPlan& plan) {
  if (session.json() || !session.quiet() || !plan.applied) session.show(plan);
  if (!session.json()) {
    for (const auto& persona : plan.unmoved)
      log_warn("{}: {}{}", persona.persona.empty() ? "shared knowledge" : persona.persona, persona.why,
               persona.hint.empty() ? "" : fmt::format(" ({})", persona.hint));
    for (const auto& shortfall : plan.shortfalls)
      log_warn("{} has {} free, and {} are to move there", shortfall.path, format_size(shortfall.free_bytes),
               format_size(shortfall.needed_bytes));
  }
  if (!plan.shortfalls.empty()) return kStatusFault;
  return plan.unmoved.empty() ? 0 : kStatusPartial;
}

int shard(cli::Session& session, const ShardArguments& arguments) {
  const bool applies = arguments.action == "apply" && !arguments.dry_run;
  document::ShardOptions options = arguments.options;
  options.threads = cli::threads_or_all(options.threads);
  if (arguments.action == "show" && options.persona)
    throw Error(Errc::usage, "'shard show' shows every persona: leave --persona out", "");
  if (arguments.action != "apply" && arguments.dry_run)
    throw Error(Errc::usage, fmt::format("'shard {}' changes nothing: leave --dry-run out", arguments.action), "");
  const tree::Tree tree = open_tree(session, applies);
  const tree::Config config = tree::Config::load(tree);
  if (options.persona) tree::require_persona(config, *options.persona);
  if (arguments.action == "show") {
    session.show(document::shard_report(tree, config));
    return 0;
  }
  return tell(session, applies ? document::apply_shards(tree, config, options, session.progress())
                               : document::plan_shards(tree, config, options));
}

}  // namespace

void add_shard(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<ShardArguments>();
  CLI::App* verb = cli::add_verb(app, "shard", "Spread personas and shared knowledge over drives: show, plan or apply",
                                 "reef-index shard apply --dry-run");
  verb->add_option("action", arguments->action, "show, plan or apply")
      ->required()
      ->check(CLI::IsMember({"show", "plan", "apply"}))
      ->type_name("ACTION");
  verb->add_option("--persona", arguments->options.persona, "Only this persona (default: all)")->type_name("ID");
  cli::add_dry_run(*verb, arguments->dry_run);
  cli::add_wait(*verb, arguments->options.wait);
  cli::add_threads(*verb, arguments->options.threads);
  verb->callback([=, &session] { session.choose([=, &session] { return shard(session, *arguments); }); });
}

}  // namespace reef::tool
