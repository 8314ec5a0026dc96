#include "reef/model/cache.h"

#include <fmt/format.h>

#include <memory>

#include "commands.h"
#include "reef/model/load.h"
#include "reef/tree/config.h"

namespace reef::tool {
namespace {

struct CacheArguments {
  std::string action;
  std::string name;
  bool why = false;
};

int cache(cli::Session& session, const CacheArguments& arguments) {
  const bool takes_name = arguments.action != "status" && arguments.action != "trim";
  if (takes_name == arguments.name.empty())
    throw Error(Errc::usage,
                takes_name ? fmt::format("'cache {}' needs the name of a model", arguments.action)
                           : fmt::format("'cache {}' takes no name", arguments.action),
                "it is 'cache status [--why]', 'cache pin|unpin|evict NAME' or 'cache trim'");
  if (arguments.why && arguments.action != "status")
    throw Error(Errc::usage, "--why is for 'cache status'", "leave it out");
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree, {"system", "models"});
  if (arguments.action == "status") {
    session.show(model::cache_status(tree, config, arguments.why));
    return 0;
  }
  const model::CacheChange change = arguments.action == "pin"     ? model::pin_model(tree, config, arguments.name)
                                    : arguments.action == "unpin" ? model::unpin_model(tree, config, arguments.name)
                                    : arguments.action == "evict" ? model::evict_model(tree, config, arguments.name)
                                                                  : model::trim_caches(tree, config);
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
  verb->add_flag("--why", arguments->why, "Which programs hold the files");
  verb->callback([=, &session] { session.choose([=, &session] { return cache(session, *arguments); }); });
}

}  // namespace reef::tool
