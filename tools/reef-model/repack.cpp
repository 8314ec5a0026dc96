#include "reef/model/repack.h"

#include <memory>

#include "commands.h"
#include "reef/core/units.h"

namespace reef::tool {
namespace {

int repack(cli::Session& session, model::RepackOptions options) {
  options.threads = cli::threads_or_all(options.threads);
  const tree::Tree tree = open_tree(session, !options.dry_run);
  const model::RepackResult done = model::repack_model(tree, options, session.progress());
  if (session.json() || !session.quiet()) session.show(done);
  return 0;
}

}  // namespace

void add_repack(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::RepackOptions>();
  CLI::App* verb = cli::add_verb(app, "repack", "Write safetensors files anew, with every tensor aligned",
                                 "reef-model repack gemma-3-4b --dry-run");
  verb->add_option("name", options->name, "Model, or folder/model where two kinds share a name")
      ->required()
      ->type_name("NAME");
  verb->add_option_function<std::string>(
          "--align", [options](const std::string& text) { options->alignment = parse_size(text); },
          "Where the data may begin: a multiple of this power of two (default: 64)")
      ->type_name("BYTES");
  cli::add_force(*verb, options->force, "Also a model that makes vectors");
  cli::add_dry_run(*verb, options->dry_run);
  cli::add_wait(*verb, options->wait);
  cli::add_threads(*verb, options->threads);
  verb->callback([options, &session] { session.choose([options, &session] { return repack(session, *options); }); });
}

}  // namespace reef::tool
