#include "reef/memory/remember.h"

#include <fmt/format.h>

#include "commands.h"
#include "common/batch_lines.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

struct RememberArguments {
  memory::RememberOptions options;
  PersonaChoice persona;
  std::chrono::milliseconds wait{0};
  unsigned threads = 0;
};

/// The operand, or standard input for "-", without its last line feeds.
std::string text_of(const std::string& operand) {
  if (operand != "-") return operand;
  std::string text = read_standard_input("a text to remember");
  text.erase(text.find_last_not_of("\r\n") + 1);
  return text;
}

int remember(cli::Session& session, RememberArguments& arguments) {
  memory::RememberOptions& options = arguments.options;
  options.text = text_of(options.text);
  options.threads = cli::threads_or_all(arguments.threads);
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree);
  const std::string persona = chosen_persona(arguments.persona, config);
  options.store = store_options(config, arguments.wait);
  const auto embedder = embedder_if_any(tree, config);
  const auto report = memory::remember(tree, persona, options, embedder.get(), session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  if (!report.finish.words_purged) log_warn("{}: {}", persona, report.finish.not_purged);
  return 0;
}

}  // namespace

void add_remember(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<RememberArguments>();
  CLI::App* verb = cli::add_verb(app, "remember", "Remember a text because you ask for it",
                                 "reef-memory remember 'The cellar key hangs behind the clock' --persona alice");
  verb->add_option("text", arguments->options.text, "The text, or - for stdin")->required()->type_name("TEXT");
  arguments->persona = add_persona(*verb);
  verb->add_option("--tag", arguments->options.tags, "Tag of the memory; may be given again")
      ->expected(1)
      ->take_all()
      ->type_name("TAG");
  cli::add_wait(*verb, arguments->wait);
  cli::add_threads(*verb, arguments->threads);
  verb->callback([=, &session] { session.choose([=, &session] { return remember(session, *arguments); }); });
}

void add_export(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<memory::ExportOptions>();
  auto wait = std::make_shared<std::chrono::milliseconds>(0);
  auto threads = std::make_shared<unsigned>(0);
  CLI::App* verb =
      cli::add_verb(app, "export", "Write embeddings.npy, relationships.json and emotional_state.json anew",
                    "reef-memory export --persona alice -o /srv/alice");
  const PersonaChoice persona = add_persona(*verb);
  verb->add_option("-o,--output", options->to, "Copy them to a folder that is absent or empty")->type_name("DIR");
  cli::add_wait(*verb, *wait);
  cli::add_threads(*verb, *threads);
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, true);
      const tree::Config config = tree::Config::load(tree);
      const std::string chosen = chosen_persona(persona, config);
      options->store = store_options(config, *wait);
      options->threads = cli::threads_or_all(*threads);
      const auto embedder = embedder_if_any(tree, config);
      const auto report = memory::export_memories(tree, chosen, *options, embedder.get(), session.progress());
      if (session.json() || !session.quiet()) session.show(report);
      if (report.written.words_purged) return 0;
      log_warn("{}: {}", chosen, report.written.not_purged);
      return kStatusPartial;
    });
  });
}

}  // namespace reef::tool
