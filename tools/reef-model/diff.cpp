#include "reef/model/diff.h"

#include <memory>

#include "commands.h"

namespace reef::tool {
namespace {

int diff(cli::Session& session, model::DiffOptions options) {
  options.threads = cli::threads_or_all(options.threads);
  const model::ModelDiff found = model::diff_models(open_tree(session, false), options, session.progress());
  if (session.json() || !session.quiet()) session.show(found);
  return found.is_identical() ? 0 : kStatusFault;
}

}  // namespace

void add_diff(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::DiffOptions>();
  CLI::App* verb =
      cli::add_verb(app, "diff", "Compare two models, tensor by tensor", "reef-model diff gemma-3-4b gemma-3-4b-tuned");
  verb->add_option("a", options->a, "Model, or folder/model where two kinds share a name")->required()->type_name("A");
  verb->add_option("b", options->b, "The other one")->required()->type_name("B");
  verb->add_flag("--read", options->read_all, "Read all bytes, also where the manifests have equal digests");
  cli::add_threads(*verb, options->threads);
  verb->callback([options, &session] { session.choose([options, &session] { return diff(session, *options); }); });
}

}  // namespace reef::tool
