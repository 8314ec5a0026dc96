#include "reef/recover/system.h"

#include "commands.h"
#include "common/tree.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

int system(cli::Session& session, const recover::SourceChoice& choice, recover::SystemOptions options, bool dry_run) {
  const tree::Tree tree = tree::Tree::at(tree::Tree::find_root(session.root()));
  const tree::Config config = tree::Config::load(tree, {"system"});
  if (options.to.empty()) options.to = tree.root();
  options.to = std::filesystem::absolute(options.to).lexically_normal();
  options.threads = cli::threads_or_all(options.threads);
  std::vector<std::string> why_not;
  const auto sources = recover::find_sources(tree, config, choice, {3, 2, 1}, &why_not);
  for (const std::string& reason : why_not) log_warn("{}", reason);
  if (dry_run) {
    session.show(recover::plan_system(tree, sources.front(), options));
    return 0;
  }
  const auto report = recover::restore_system(tree, sources.front(), options, session.progress());
  if (session.json() || !session.quiet() || !report.faults.empty()) session.show(report);
  return report.faults.empty() ? 0 : kStatusFault;
}

}  // namespace

void add_system(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<recover::SystemOptions>();
  auto dry_run = std::make_shared<bool>(false);
  CLI::App* verb = cli::add_verb(app, "system", "Restore a whole tree to an empty place",
                                 "reef-restore system --from /mnt/nas/reef --to /coral-reef");
  auto choice = add_source_choice(*verb);
  verb->add_option("--to", options->to, "The root of the tree that comes (default: --root)")->type_name("DIR");
  cli::add_dry_run(*verb, *dry_run);
  cli::add_threads(*verb, options->threads);
  verb->callback(
      [=, &session] { session.choose([=, &session] { return system(session, *choice, *options, *dry_run); }); });
}

}  // namespace reef::tool
