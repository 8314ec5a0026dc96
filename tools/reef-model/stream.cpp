#include "reef/model/stream.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "commands.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

int stream(cli::Session& session, const model::StreamOptions& options) {
  const model::StreamResult result = model::stream_model(open_tree(session, false), options, session.progress());
  if (session.quiet() && !session.json()) return 0;
  if (options.output != "-") {
    session.show(result);
  } else {  // standard output is the stream's
    fmt::print(stderr, "{}", session.json() ? to_json(result) + "\n" : to_text(result));
  }
  return 0;
}

}  // namespace

void add_stream(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::StreamOptions>();
  CLI::App* verb = cli::add_verb(app, "stream", "Send a model's tensors, layer by layer",
                                 "reef-model stream gemma-3-4b -o unix:/run/loader.sock");
  verb->add_option("name", options->name, "Model, or folder/model where two kinds share a name")
      ->required()
      ->type_name("NAME");
  verb->add_option("-o,--output", options->output,
                   "FILE, unix:PATH, tcp:HOST:PORT or shm:NAME (default: -, standard output)")
      ->type_name("TARGET");
  verb->add_flag("--segments", options->segments, "Send the compiled segments of tpu_config.json");
  cli::add_force(*verb, options->force, "Replace a file or shared memory of that name");
  verb->callback([options, &session] { session.choose([options, &session] { return stream(session, *options); }); });
}

}  // namespace reef::tool
