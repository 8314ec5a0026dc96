#include "reef/session/archive.h"

#include "commands.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/session/delete.h"

namespace reef::tool {
namespace {

template <typename Report>
void tell_failures(const Report& report) {
  for (const auto& session : report.sessions)
    if (session.failure)
      log_warn("session '{}': {}{}", session.id, session.failure->what(),
               session.failure->hint().empty() ? "" : " (" + session.failure->hint() + ")");
}

int archive(cli::Session& session, const session::ArchiveOptions& options) {
  if (!options.sessions.empty() && options.older_than)
    throw Error(Errc::usage, "name sessions or --older-than, not both", "");
  const tree::Tree tree = open_tree(session, !options.dry_run);
  const tree::Config config = tree::Config::load(tree, {"system"});
  const auto report = session::archive_sessions(tree, config, options, session.progress());
  if (!session.json()) tell_failures(report);
  if (session.json() || !session.quiet()) session.show(report);
  return report.failures() == 0 ? 0 : kStatusPartial;
}

int remove(cli::Session& session, session::DeleteOptions options, bool yes) {
  const bool dry_run = options.plan_only;
  options.plan_only = dry_run || !yes;
  const tree::Tree tree = open_tree(session, !options.plan_only);
  const auto report = session::delete_sessions(tree, options, session.progress());
  if (!session.json()) {
    for (const std::string& id : report.not_found) log_warn("no session '{}'", id);
    tell_failures(report);
  }
  if (session.json() || !session.quiet() || options.plan_only) session.show(report);
  if (!dry_run && !yes) throw Error(Errc::usage, "nothing was deleted", "pass --yes to delete what is listed");
  return report.failures() == 0 && report.not_found.empty() ? 0 : kStatusPartial;
}

}  // namespace

void add_archive(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<session::ArchiveOptions>();
  CLI::App* verb = cli::add_verb(app, "archive", "Move old sessions to storage.archive; they stay listed and found",
                                 "reef-session archive --older-than 365d");
  verb->add_option("sessions", options->sessions, "Ids of sessions (default: the old ones)")->type_name("SESSION");
  verb->add_option_function<std::string>(
          "--older-than", [options](const std::string& text) { options->older_than = parse_duration(text); },
          "Sessions whose last message is older (default: session.archive_after_days)")
      ->type_name("DURATION");
  cli::add_dry_run(*verb, options->dry_run);
  cli::add_wait(*verb, options->wait);
  verb->callback([=, &session] { session.choose([=, &session] { return archive(session, *options); }); });
}

void add_delete(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<session::DeleteOptions>();
  auto yes = std::make_shared<bool>(false);
  CLI::App* verb =
      cli::add_verb(app, "delete", "Remove sessions with all that belongs to them", "reef-session delete s1 --yes");
  verb->add_option("sessions", options->sessions, "Ids of sessions")->required()->type_name("SESSION");
  cli::add_yes(*verb, *yes, "Do it; without, the plan is printed and nothing is changed");
  cli::add_dry_run(*verb, options->plan_only);
  cli::add_wait(*verb, options->wait);
  verb->callback([=, &session] { session.choose([=, &session] { return remove(session, *options, *yes); }); });
}

}  // namespace reef::tool
