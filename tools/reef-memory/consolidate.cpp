#include "reef/memory/consolidate.h"

#include <fmt/format.h>

#include <functional>

#include "commands.h"
#include "reef/core/log.h"
#include "reef/io/http.h"
#include "reef/memory/turn_vectors.h"
#include "reef/session/schema.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

struct ConsolidateArguments {
  PersonaChoice persona;
  bool all = false;
  bool explain = false;
  bool no_llm = false;
  std::optional<std::string> now;
  std::chrono::milliseconds wait{0};
  unsigned threads = 0;
};

/// The status of this persona's run: 3 when some of its messages could not be read.
int consolidate_one(cli::Session& session, const tree::Tree& tree, const tree::Config& config,
                    const std::string& persona, const ConsolidateArguments& arguments, embed::Embedder* embedder,
                    const memory::ConsolidateOptions& options) {
  session::read_conversations(tree);  // before a store is made for nothing
  memory::StoreOptions store_options = tool::store_options(config, arguments.wait);
  store_options.now = options.now;
  memory::Store store(tree, persona, store_options);
  if (embedder != nullptr) store.use_embedder(*embedder, options.threads, session.progress());
  std::optional<memory::TurnVectors> turns;
  memory::VectorSource vectors;
  if (embedder != nullptr)
    vectors = std::ref(turns.emplace(tree, persona, *embedder, options.threads, arguments.wait, session.progress()));
  const auto report = memory::consolidate(tree, store, embedder == nullptr ? 0 : embedder->identity().dim, vectors,
                                          options, session.progress());
  if (report.quantiles) {
    const auto& q = *report.quantiles;
    log_step(
        "scores of {}: a tenth below {:.2f}, a quarter below {:.2f}, half below {:.2f}, a quarter above {:.2f}, a "
        "tenth above {:.2f}",
        persona, q[0], q[1], q[2], q[3], q[4]);
  }
  if (session.json() || !session.quiet()) session.show(report);
  if (!report.finish.words_purged) log_warn("{}: {}", persona, report.finish.not_purged);
  if (report.unreadable == 0) return 0;
  log_warn("{} messages of '{}' wait until they can be read: {}", report.unreadable, persona, report.first_unreadable);
  return kStatusPartial;
}

/// endpoints.llm, when it is configured and not left out.
std::optional<memory::LanguageModel> open_language_model(const tree::Config& config, bool leave_out) {
  const auto options = leave_out ? std::nullopt : memory::language_model_options(config);
  if (!options) return std::nullopt;
  if (memory::is_sent_in_the_open(options->url))
    log_warn("what is said to the language model, and its key, go to another machine unencrypted: {}",
             io::shown_url(options->url));
  return memory::LanguageModel(*options);
}

/// Once for the run, whatever the number of messages: they were decided without it.
void tell_fault(const memory::LanguageModel& model) {
  if (!model.fault()) return;
  log_warn("the language model did not answer all that it was asked, and was done without there: {}",
           with_hint(*model.fault()));
}

int consolidate_chosen(cli::Session& session, const tree::Tree& tree, const tree::Config& config,
                       const ConsolidateArguments& arguments, const memory::ConsolidateOptions& options) {
  if (!arguments.all) {
    const std::string persona = chosen_persona(arguments.persona, config);
    const auto embedder = embedder_if_any(tree, config);
    return consolidate_one(session, tree, config, persona, arguments, embedder.get(), options);
  }
  std::error_code unreadable;
  if (!std::filesystem::exists(session::conversations_file(tree), unreadable)) {
    log_info("already so; this tree has no conversations yet");
    return 0;
  }
  // One that another run holds, or whose files are damaged, keeps none of the others waiting.
  int status = 0;
  const auto personas = tree::personas(config);
  const auto embedder = personas.empty() ? nullptr : embedder_if_any(tree, config);
  for (const std::string& persona : personas) try {
      status = std::max(status, consolidate_one(session, tree, config, persona, arguments, embedder.get(), options));
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted || personas.size() == 1) throw;
      log_warn("{}: {}", persona, with_hint(error));
      status = kStatusPartial;
    }
  return status;
}

int consolidate(cli::Session& session, const ConsolidateArguments& arguments) {
  memory::ConsolidateOptions options;
  options.now = arguments.now ? parse_time(*arguments.now) : reef::now();
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree);
  options.importance = memory::importance_options(config);
  if (arguments.explain) options.on_decision = [&session](const memory::Decided& decision) { session.show(decision); };
  auto model = open_language_model(config, arguments.no_llm);
  if (model) options.model = &*model;
  options.threads = cli::threads_or_all(arguments.threads);
  const int status = consolidate_chosen(session, tree, config, arguments, options);
  if (model) tell_fault(*model);
  return status;
}

}  // namespace

void add_consolidate(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<ConsolidateArguments>();
  CLI::App* verb = cli::add_verb(app, "consolidate", "Decide what of its conversations a persona remembers",
                                 "reef-memory consolidate --all");
  arguments->persona = add_persona(*verb);
  verb->add_flag("--all", arguments->all, "All personas, one after the other")->excludes(verb->get_option("--persona"));
  verb->add_option("--now", arguments->now, "Decide as if it were this time: later messages wait")->type_name("TIME");
  verb->add_flag("--explain", arguments->explain, "Show each decision, with every term of the score");
  verb->add_flag("--no-llm", arguments->no_llm, "Ask no language model (endpoints.llm) in this run");
  cli::add_wait(*verb, arguments->wait);
  cli::add_threads(*verb, arguments->threads);
  verb->callback([=, &session] { session.choose([=, &session] { return consolidate(session, *arguments); }); });
}

}  // namespace reef::tool
