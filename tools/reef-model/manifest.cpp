#include <fmt/format.h>

#include <memory>

#include "commands.h"
#include "reef/model/make_manifest.h"

namespace reef::tool {
namespace {

struct ManifestArguments {
  std::vector<std::string> words;  ///< NAME, or sign NAME
  std::optional<std::string> key;
  model::ManifestOptions options;
};

int manifest(cli::Session& session, ManifestArguments arguments) {
  const bool signs = arguments.words.size() == 2;
  model::ManifestOptions& options = arguments.options;
  options.name = arguments.words.back();
  if (signs && arguments.words.front() != "sign")
    throw Error(Errc::usage, fmt::format("there is no 'manifest {}'", arguments.words.front()),
                "it is 'manifest NAME' or 'manifest sign NAME --key FILE'");
  if (signs != arguments.key.has_value())
    throw Error(Errc::usage, signs ? "'manifest sign' needs --key" : "--key is for 'manifest sign'",
                "it is 'manifest NAME' or 'manifest sign NAME --key FILE'");
  if (signs && (options.force || options.with_tensors))
    throw Error(Errc::usage, "'manifest sign' signs what is there: leave --force and --tensors out", "");
  const tree::Tree tree = open_tree(session, true);
  if (signs) {
    const auto made = model::sign_manifest(tree, options.name, *arguments.key, options.wait);
    if (session.json() || !session.quiet()) session.show(made);
    return 0;
  }
  options.threads = cli::threads_or_all(options.threads);
  const auto made = model::make_manifest(tree, options, session.progress());
  if (session.json() || !session.quiet()) session.show(made);
  return 0;
}

}  // namespace

void add_manifest(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<ManifestArguments>();
  CLI::App* verb = cli::add_verb(app, "manifest", "Write what a model's bytes must be, or sign it",
                                 "reef-model manifest sign gemma-3-4b --key key.pem");
  verb->add_option("name", arguments->words, "Model; before it 'sign' to sign its manifest")
      ->required()
      ->expected(1, 2)
      ->type_name("[sign] NAME");
  verb->add_option("--key", arguments->key, "Ed25519 private key (PEM) to sign with")->type_name("FILE");
  verb->add_flag("--tensors", arguments->options.with_tensors, "Record a digest of every tensor, too");
  cli::add_force(*verb, arguments->options.force, "Whatever the present manifest says");
  cli::add_wait(*verb, arguments->options.wait);
  cli::add_threads(*verb, arguments->options.threads);
  verb->callback(
      [arguments, &session] { session.choose([arguments, &session] { return manifest(session, *arguments); }); });
}

}  // namespace reef::tool
