#include "reef/model/import.h"

#include <memory>

#include "commands.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

int import(cli::Session& session, model::ImportOptions options) {
  options.threads = cli::threads_or_all(options.threads);
  const tree::Tree tree = open_tree(session, !options.dry_run);
  const tree::Config config = tree::Config::load(tree, {"models", "personas"});
  const model::ImportResult result = model::import_model(tree, config, options, session.progress());
  if (result.unaligned > 0) {
    log_warn(
        "{}: tensors that do not begin at a multiple of their element's size: {} (legal, but slow to use in place; "
        "'reef-model repack' aligns them)",
        result.manifest.name, result.unaligned);
  }
  if (!options.dry_run) compile_encoder(tree, config, result.folder);
  if (session.json() || !session.quiet()) session.show(result);
  return 0;
}

}  // namespace

void add_import(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::ImportOptions>();
  CLI::App* verb = cli::add_verb(app, "import", "Copy a model into the tree, checked, with a manifest",
                                 "reef-model import ~/.cache/huggingface/hub/models--BAAI--bge-small-en-v1.5");
  verb->add_option("source", options->source, "Model folder, Hugging Face cache folder, GGUF file or Python wheel")
      ->required()
      ->type_name("SRC");
  verb->add_option_function<std::string>(
          "--kind", [options](const std::string& text) { options->kind = model::parse_kind(text); },
          "What it is (default: as its files say)")
      ->check(CLI::IsMember({"base", "quantized", "adapter"}))
      ->type_name("KIND");
  verb->add_option("--name", options->name, "What to call it (default: as the source does)")->type_name("NAME");
  verb->add_option("--persona", options->persona, "Whose adapter it is")->type_name("ID");
  cli::add_force(*verb, options->force, "Replace another model of that name");
  cli::add_dry_run(*verb, options->dry_run);
  cli::add_wait(*verb, options->wait);
  cli::add_threads(*verb, options->threads);
  verb->callback([options, &session] { session.choose([options, &session] { return import(session, *options); }); });
}

}  // namespace reef::tool
