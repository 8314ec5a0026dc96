#include "reef/model/cache.h"

#include <fmt/format.h>

#include <memory>

#include "commands.h"
#include "reef/document/trim_vectors.h"
#include "reef/embed/trim_encoders.h"
#include "reef/model/cache_trim.h"
#include "reef/model/load.h"
#include "reef/tree/config.h"

namespace reef::tool {
namespace {

struct CacheArguments {
  std::string action;
  std::string name;
  bool why = false;
  bool force = false;
  bool dry_run = false;
};

void require_fitting(const CacheArguments& arguments) {
  const std::string& action = arguments.action;
  const bool takes_name = action != "status" && action != "trim";
  if (takes_name == arguments.name.empty())
    throw Error(Errc::usage,
                takes_name ? fmt::format("'cache {}' needs the name of a model", action)
                           : fmt::format("'cache {}' takes no name", action),
                "it is 'cache status [--why]', 'cache pin|unpin|evict NAME' or 'cache trim'");
  if (arguments.why && action != "status") throw Error(Errc::usage, "--why is for 'cache status'", "leave it out");
  if (arguments.force && action != "evict") throw Error(Errc::usage, "--force is for 'cache evict'", "leave it out");
  if (arguments.dry_run && action != "evict" && action != "trim")
    throw Error(Errc::usage, "--dry-run is for 'cache evict' and 'cache trim'", "leave it out");
}

/// Each cache by the module that fills it.
int trim(cli::Session& session, const tree::Tree& tree, const tree::Config& config, bool dry_run) {
  model::CacheTrim trim;
  trim.is_dry_run = dry_run;
  model::trim_model_cache(tree, config, trim);
  model::trim_inference_cache(tree, config, trim);
  model::remove_leftovers_of_embedding(tree, trim);
  embed::remove_old_encoders(tree, config, trim);
  document::trim_vectors(tree, config, trim);
  model::measure_caches(tree, config, trim);
  if (session.json() || !session.quiet()) session.show(trim);
  return trim.is_done() ? 0 : kStatusPartial;
}

int cache(cli::Session& session, const CacheArguments& arguments) {
  require_fitting(arguments);
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree, {"system", "models"});
  if (arguments.action == "status") {
    session.show(model::cache_status(tree, config, arguments.why));
    return 0;
  }
  if (arguments.action == "trim") return trim(session, tree, config, arguments.dry_run);
  const model::CacheChange change =
      arguments.action == "pin" ? model::pin_model(tree, config, arguments.name)
      : arguments.action == "unpin"
          ? model::unpin_model(tree, config, arguments.name)
          : model::evict_model(tree, config, {arguments.name, arguments.force, arguments.dry_run});
  if (session.json() || !session.quiet()) session.show(change);
  return 0;
}

int load(cli::Session& session, model::LoadOptions options) {
  options.threads = cli::threads_or_all(options.threads);
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree, {"system", "models"});
  const model::LoadResult result = model::load_model(tree, config, options, session.progress());
  if (session.json() || !session.quiet()) session.show(result);
  return 0;
}

}  // namespace

void add_load(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::LoadOptions>();
  CLI::App* verb = cli::add_verb(app, "load", "Bring a model's weights into memory, verified on the way",
                                 "reef-model load gemma-3-4b");
  verb->add_option("name", options->name, "Model, or folder/model where two kinds share a name")
      ->required()
      ->type_name("NAME");
  verb->add_option_function<std::string>(
          "--strategy", [options](const std::string& text) { options->strategy = model::parse_strategy(text); },
          "How (default: by size)")
      ->check(CLI::IsMember({"auto", "full", "mmap", "stream"}))
      ->type_name("STRATEGY");
  cli::add_threads(*verb, options->threads);
  verb->callback([options, &session] { session.choose([options, &session] { return load(session, *options); }); });
}

void add_cache(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<CacheArguments>();
  CLI::App* verb = cli::add_verb(app, "cache", "What is in the caches; pin, unpin or evict a model; trim",
                                 "reef-model cache status --why");
  verb->add_option("action", arguments->action, "status, pin, unpin, evict or trim")
      ->required()
      ->check(CLI::IsMember({"status", "pin", "unpin", "evict", "trim"}))
      ->type_name("ACTION");
  verb->add_option("name", arguments->name, "Model to pin, unpin or evict")->type_name("NAME");
  verb->add_flag("--why", arguments->why, "status: which programs hold the files");
  cli::add_force(*verb, arguments->force, "evict: a pinned model, too, and files that other models share");
  cli::add_dry_run(*verb, arguments->dry_run);
  verb->callback([=, &session] { session.choose([=, &session] { return cache(session, *arguments); }); });
}

}  // namespace reef::tool
