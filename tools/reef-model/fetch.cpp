#include "reef/model/fetch.h"

#include <memory>

#include "commands.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

int fetch(cli::Session& session, model::FetchOptions options) {
  options.threads = cli::threads_or_all(options.threads);
  options.base = std::filesystem::current_path();
  const tree::Tree tree = open_tree(session, !options.dry_run);
  const tree::Config config = tree::Config::load(tree);
  const model::FetchResult result = model::fetch_models(tree, config, options, session.progress());
  for (const model::FetchedModel& model : result.models) {
    if (model.failure) {
      log_warn("{}: {}", model.name, model.failure->what());
      if (!model.failure->hint().empty()) log_info("hint: {}", model.failure->hint());
    } else if (!options.dry_run && model.action != model::FetchAction::left) {
      compile_encoder(tree, config, model.folder);
    }
  }
  if (session.json() || !session.quiet()) session.show(result);
  return result.failures() == 0 ? 0 : kStatusPartial;
}

}  // namespace

void add_fetch(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::FetchOptions>();
  CLI::App* verb = cli::add_verb(app, "fetch", "Bring models from where models.yaml says, or back from the archive",
                                 "reef-model fetch --missing");
  verb->add_option("name", options->names, "Models")->type_name("NAME");
  verb->add_flag("--missing", options->missing,
                 "Every model that models.yaml or personas.yaml names and that is not there");
  verb->add_option("--from", options->from, "Where the one model is to be had, in place of models.yaml")
      ->type_name("SOURCE");
  cli::add_force(*verb, options->force, "Also what is there, damaged or in another version");
  cli::add_dry_run(*verb, options->dry_run);
  cli::add_wait(*verb, options->wait);
  cli::add_threads(*verb, options->threads);
  verb->callback([options, &session] { session.choose([options, &session] { return fetch(session, *options); }); });
}

}  // namespace reef::tool
