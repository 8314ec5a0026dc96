#include "reef/model/extract.h"

#include <unistd.h>

#include <csignal>
#include <memory>

#include "commands.h"

namespace reef::tool {
namespace {

int extract(cli::Session& session, const model::ExtractOptions& options) {
  const bool to_stdout = options.output == "-";
  if (to_stdout) {
    if (session.json())
      throw Error(Errc::usage, "--json and '-o -' exclude each other: both are for stdout", "write to a file");
    if (::isatty(STDOUT_FILENO) != 0)
      throw Error(Errc::usage, "stdout is a terminal, which shows no bytes of tensors", "write to a file or a pipe");
    // A reader that has enough ("| head -c 100") ends this run without a word; there is nothing to clean up.
    ::signal(SIGPIPE, SIG_DFL);
  }
  const model::ExtractedTensor done = model::extract_tensor(open_tree(session, false), options, session.progress());
  if (!to_stdout && (session.json() || !session.quiet())) session.show(done);
  return 0;
}

}  // namespace

void add_extract(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::ExtractOptions>();
  CLI::App* verb = cli::add_verb(app, "extract", "Write a tensor, or a slice of it, to a file",
                                 "reef-model extract gemma-3-4b 'model.embed_tokens.weight[0:4,:]' -o rows.npy");
  verb->add_option("name", options->name, "Model, or folder/model where two kinds share a name")
      ->required()
      ->type_name("NAME");
  verb->add_option("tensor", options->tensor, "Tensor, with a slice in numpy's notation or without one")
      ->required()
      ->type_name("TENSOR[SLICE]");
  verb->add_option("-o,--output", options->output, "NumPy's format where it ends with .npy, else raw bytes; -: stdout")
      ->required()
      ->type_name("FILE");
  cli::add_force(*verb, options->force, "Replace a file of that name");
  verb->callback([options, &session] { session.choose([options, &session] { return extract(session, *options); }); });
}

}  // namespace reef::tool
