#include <fmt/format.h>

#include "commands.h"
#include "common/batch_lines.h"
#include "reef/core/log.h"
#include "reef/embed/default_embedder.h"
#include "reef/vector/npy.h"

namespace reef::tool {
namespace {

struct EmbedArguments {
  std::vector<std::string> texts;
  std::optional<std::string> batch;
  std::string output;
  bool as_query = false;
  bool force = false;
  unsigned threads = 1;
};

/// Where to write: behind a symbolic link its target, never over a device.
std::filesystem::path output_file(const EmbedArguments& arguments) {
  namespace fs = std::filesystem;
  const fs::path output = arguments.output;
  if (!fs::exists(output)) return output;
  if (!fs::is_regular_file(output))
    throw Error(Errc::usage, fmt::format("{} is not a regular file", arguments.output), "name a file to write");
  if (!arguments.force)
    throw Error(Errc::usage, fmt::format("{} exists already", arguments.output), "pass --force to replace it");
  return fs::canonical(output);
}

int embed(cli::Session& session, const EmbedArguments& arguments) {
  if (arguments.texts.empty() == !arguments.batch)
    throw Error(Errc::usage, "name texts or --batch", "try 'reef-index embed --help'");
  const std::filesystem::path output = output_file(arguments);
  const tree::Tree tree = open_tree(session, false);
  const tree::Config config = tree::Config::load(tree, {"system", "models"});
  std::vector<std::string> texts = arguments.texts;
  if (arguments.batch) {
    for (BatchLines lines(*arguments.batch); lines.next();) {
      // A line left out would move every row behind it, so that one fault ends the command.
      if (!lines.fault().empty())
        throw Error(Errc::failed, fmt::format("{}:{}: {}", *arguments.batch, lines.number(), lines.fault()),
                    "mend the line; rows must match lines");
      texts.push_back(lines.text());
    }
  }
  const auto embedder = embed::open_default_embedder(tree, config);
  const std::size_t dim = embedder->identity().dim;
  std::vector<float> vectors(texts.size() * dim);
  Progress& progress = session.progress();
  progress.begin("embedding", texts.size(), ProgressUnit::items);
  if (arguments.as_query) {
    for (std::size_t i = 0; i < texts.size(); ++i)
      embedder->embed_query(texts[i], std::span(vectors).subspan(i * dim, dim));
  } else {
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    embedder->embed_passages(views, vectors, cli::threads_or_all(arguments.threads), progress);
  }
  progress.end();
  vector::write_npy(output, vectors, dim);
  log_info("{} vectors of {} dimensions to {}", texts.size(), dim, arguments.output);
  return 0;
}

}  // namespace

void add_embed(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<EmbedArguments>();
  CLI::App* verb = cli::add_verb(app, "embed", "Vectors of texts for other programs, as a .npy file in input order",
                                 "reef-index embed 'a text' 'another one' -o vectors.npy");
  verb->add_option("texts", arguments->texts, "Texts to embed")->type_name("TEXT");
  verb->add_option("--batch", arguments->batch, "Texts from a file of {id,text} lines, or - for stdin")
      ->type_name("FILE");
  verb->add_option("-o,--output", arguments->output, "The .npy file to write: float32, n x dim, unit rows")
      ->required()
      ->type_name("FILE");
  verb->add_flag("--as-query", arguments->as_query,
                 "Embed as questions (query prefix, finer arithmetic), not as passages");
  cli::add_force(*verb, arguments->force, "Replace the output file");
  cli::add_threads(*verb, arguments->threads);
  verb->callback([=, &session] { session.choose([=, &session] { return embed(session, *arguments); }); });
}

}  // namespace reef::tool
