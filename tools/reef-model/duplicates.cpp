#include "reef/model/duplicates.h"

#include <memory>

#include "commands.h"
#include "reef/core/log.h"
#include "reef/core/units.h"

namespace reef::tool {
namespace {

int duplicates(cli::Session& session, model::DuplicatesOptions options) {
  options.threads = cli::threads_or_all(options.threads);
  const tree::Tree tree = open_tree(session, false);
  options.bindings = model::read_bindings(tree::Config::load(tree, {"personas"}));
  const model::DuplicatesReport found = model::find_duplicates(tree, options, session.progress());
  for (const model::SkippedModel& model : found.skipped) log_warn("{} is left out: {}", model.name, model.why);
  if (session.json() || !session.quiet()) session.show(found);
  return found.skipped.empty() ? 0 : kStatusPartial;
}

}  // namespace

void add_duplicates(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::DuplicatesOptions>();
  CLI::App* verb = cli::add_verb(app, "duplicates", "Find equal tensors and files across models",
                                 "reef-model duplicates --min-size 1MiB");
  verb->add_option("name", options->names, "Models (default: all)")->type_name("NAME");
  verb->add_option_function<std::string>(
          "--min-size", [options](const std::string& text) { options->min_bytes = parse_size(text); },
          "Leave smaller ones out (default: 4KiB)")
      ->type_name("SIZE");
  cli::add_threads(*verb, options->threads);
  verb->callback(
      [options, &session] { session.choose([options, &session] { return duplicates(session, *options); }); });
}

}  // namespace reef::tool
