#include "reef/model/archive.h"

#include <memory>

#include "commands.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

int archive(cli::Session& session, model::ArchiveOptions options) {
  options.threads = cli::threads_or_all(options.threads);
  const tree::Tree tree = open_tree(session, !options.dry_run);
  const tree::Config config = tree::Config::load(tree, {"system", "models"});
  const model::ArchiveResult result = model::archive_models(tree, config, options, session.progress());
  for (const model::ArchivedNow& model : result.models) {
    if (!model.failure) continue;
    log_warn("{}: {}", model.name, model.failure->what());
    if (!model.failure->hint().empty()) log_info("hint: {}", model.failure->hint());
  }
  if (session.json() || !session.quiet()) session.show(result);
  return result.failures() == 0 ? 0 : kStatusPartial;
}

}  // namespace

void add_archive(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::ArchiveOptions>();
  CLI::App* verb = cli::add_verb(app, "archive", "Move models to storage.archive; 'fetch' brings them back",
                                 "reef-model archive gemma-3-4b");
  verb->add_option("name", options->names, "Models, or folder/model where two kinds share a name")
      ->required()
      ->type_name("NAME");
  cli::add_yes(*verb, options->yes, "Also the model that makes vectors (default_embedding)");
  cli::add_dry_run(*verb, options->dry_run);
  cli::add_wait(*verb, options->wait);
  cli::add_threads(*verb, options->threads);
  verb->callback([options, &session] { session.choose([options, &session] { return archive(session, *options); }); });
}

}  // namespace reef::tool
