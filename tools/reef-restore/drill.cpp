#include "reef/recover/drill.h"

#include "commands.h"
#include "common/tree.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

int drill(cli::Session& session, const recover::SourceChoice& choice, recover::DrillOptions options) {
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree, {"system"});
  options.threads = cli::threads_or_all(options.threads);
  std::vector<std::string> why_not;
  const auto sources = recover::find_sources(tree, config, choice, {1, 2, 3}, &why_not);
  for (const std::string& reason : why_not) log_warn("{}", reason);
  const auto report = recover::drill(tree, sources.front(), options, session.progress());
  if (!report.check.faults.empty() || is_told(session)) session.show(report);
  return report.check.is_sound() ? 0 : kStatusFault;
}

}  // namespace

void add_drill(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<recover::DrillOptions>();
  CLI::App* verb =
      cli::add_verb(app, "drill", "Restore a snapshot into a scratch folder, check all of it, and remove it",
                    "reef-restore drill --tier 1");
  auto choice = add_source_choice(*verb);
  verb->add_option("--to", options->scratch, "A folder to do it in (default: data/backups of the tree)")
      ->check(CLI::ExistingDirectory)
      ->type_name("DIR");
  cli::add_wait(*verb, options->wait);
  cli::add_threads(*verb, options->threads);
  verb->callback([=, &session] { session.choose([=, &session] { return drill(session, *choice, *options); }); });
}

}  // namespace reef::tool
