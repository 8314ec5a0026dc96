#include "reef/recover/files.h"

#include "commands.h"
#include "common/tree.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

int files(cli::Session& session, const recover::SourceChoice& choice, recover::FilesOptions options) {
  const tree::Tree tree = tree::Tree::at(tree::Tree::find_root(session.root()));
  const tree::Config config = tree::Config::load(tree, {"system"});
  options.threads = cli::threads_or_all(options.threads);
  std::vector<std::string> why_not;
  const auto sources = recover::find_sources(tree, config, choice, {1, 2, 3}, &why_not);
  for (const std::string& reason : why_not) log_warn("{}", reason);
  const auto report = recover::restore_files(tree, sources, options, session.progress());
  if (session.json() || !session.quiet() || !report.damaged.empty() || report.dry_run) session.show(report);
  return report.damaged.empty() ? 0 : kStatusFault;
}

}  // namespace

void add_files(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<recover::FilesOptions>();
  CLI::App* verb = cli::add_verb(app, "files", "Take single files or folders out of a snapshot",
                                 "reef-restore files config/system.yaml -o /tmp/old");
  verb->add_option("paths", options->paths, "As they lie in the tree, or absolute below its root")
      ->required()
      ->type_name("PATH");
  verb->add_option("-o,--output", options->to, "Folder to put them in, made when it is not there")
      ->required()
      ->type_name("DIR");
  auto choice = add_source_choice(*verb);
  cli::add_force(*verb, options->force, "Replace files that are there");
  cli::add_dry_run(*verb, options->dry_run);
  cli::add_threads(*verb, options->threads);
  verb->callback([=, &session] { session.choose([=, &session] { return files(session, *choice, *options); }); });
}

}  // namespace reef::tool
