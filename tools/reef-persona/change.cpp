#include "reef/persona/change.h"

#include <fmt/format.h>

#include "commands.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

struct RenameArguments {
  std::string from, to;
  persona::ChangeOptions options;
};

int rename(cli::Session& session, const RenameArguments& arguments) {
  const tree::Tree tree = open_tree(session, !arguments.options.dry_run);
  const auto report = persona::rename(tree, arguments.from, arguments.to, arguments.options, session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  return 0;
}

struct RemoveArguments {
  std::string id, confirm;
  persona::RemoveOptions options;
};

int remove(cli::Session& session, const RemoveArguments& arguments) {
  const auto& options = arguments.options;
  if (!options.dry_run && arguments.confirm != arguments.id)
    throw Error(Errc::usage,
                arguments.confirm.empty()
                    ? fmt::format("removing persona '{}' cannot be undone", arguments.id)
                    : fmt::format("--confirm names '{}', and '{}' is to be removed", arguments.confirm, arguments.id),
                fmt::format("pass --confirm={} when that is meant; --dry-run shows what would go", arguments.id));
  const tree::Tree tree = open_tree(session, !options.dry_run);
  const auto report = persona::remove(tree, arguments.id, options, session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  if (!report.words_purged) {
    log_warn(
        "pages of a database that others use may hold copies of words that were removed; 'reef-memory export' writes "
        "it anew");
    return kStatusPartial;
  }
  return 0;
}

}  // namespace

void add_rename(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<RenameArguments>();
  CLI::App* verb = cli::add_verb(app, "rename", "Give a persona another id, wherever it stands",
                                 "reef-persona rename alice bea --dry-run");
  verb->add_option("old", arguments->from, "The persona")->required()->type_name("ID");
  verb->add_option("new", arguments->to, "Its new id")->required()->type_name("ID");
  cli::add_dry_run(*verb, arguments->options.dry_run);
  cli::add_wait(*verb, arguments->options.wait);
  verb->callback([=, &session] { session.choose([=, &session] { return rename(session, *arguments); }); });
}

void add_remove(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<RemoveArguments>();
  CLI::App* verb = cli::add_verb(app, "remove", "Remove a persona and all that is its alone, for good",
                                 "reef-persona remove alice --dry-run");
  verb->add_option("id", arguments->id, "The persona")->required()->type_name("ID");
  verb->add_option("--confirm", arguments->confirm, "The same once more: without it nothing is removed")
      ->type_name("ID");
  verb->add_flag("--with-adapters", arguments->options.with_adapters, "Its adapters, too, where nobody else has them");
  cli::add_dry_run(*verb, arguments->options.dry_run);
  cli::add_wait(*verb, arguments->options.wait);
  verb->callback([=, &session] { session.choose([=, &session] { return remove(session, *arguments); }); });
}

}  // namespace reef::tool
