#include "reef/memory/consolidate.h"

#include <fmt/format.h>

#include "commands.h"
#include "reef/core/log.h"
#include "reef/io/http.h"
#include "reef/session/index.h"
#include "reef/session/schema.h"
#include "reef/session/turn_store.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

struct ConsolidateArguments {
  PersonaChoice persona;
  bool all = false;
  bool explain = false;
  bool no_llm = false;
  std::string now;
  std::chrono::milliseconds wait{0};
  unsigned threads = 0;
};

/// Vectors of messages as a search of the conversation has them, so that nothing is embedded twice; what has none
/// there is embedded by itself.
class TurnVectors {
 public:
  /// Embeds what is pending first.
  TurnVectors(const tree::Tree& tree, const std::string& persona, embed::Embedder& embedder, unsigned threads,
              Progress& progress)
      : embedder_(embedder), threads_(threads) {
    session::IndexOptions options;
    options.persona = persona;
    options.threads = threads;
    try {
      session::index_turns(tree, options, embedder, progress);
      reader_.emplace(tree, persona);
    } catch (const Error& error) {
      // Another run indexes this persona, or its turns have vectors of another model still.
      if (error.code() != Errc::locked && error.code() != Errc::usage) throw;
      log_warn("{}; messages are embedded once more ({})", error.what(), error.hint());
    }
  }

  void operator()(std::span<const memory::MessageText> texts, std::span<float> rows) {
    const std::size_t dim = embedder_.identity().dim;
    std::vector<std::string_view> contents;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (const auto position = reader_ ? reader_->map().position_of(texts[i].message) : std::nullopt) {
        const auto row = reader_->vectors().row(*position);
        std::copy(row.begin(), row.end(), rows.begin() + static_cast<std::ptrdiff_t>(i * dim));
      } else {
        contents.push_back(texts[i].content);
        places.push_back(i);
      }
    }
    if (contents.empty()) return;
    std::vector<float> made(contents.size() * dim);
    embedder_.embed_passages(contents, made, threads_, no_progress());
    for (std::size_t i = 0; i < places.size(); ++i)
      std::copy_n(made.begin() + static_cast<std::ptrdiff_t>(i * dim), dim,
                  rows.begin() + static_cast<std::ptrdiff_t>(places[i] * dim));
  }

 private:
  embed::Embedder& embedder_;
  unsigned threads_;
  std::optional<session::TurnReader> reader_;
};

memory::VectorSource vectors_of(const std::shared_ptr<TurnVectors>& vectors) {
  return [vectors](std::span<const memory::MessageText> texts, std::span<float> rows) { (*vectors)(texts, rows); };
}

/// The status of this persona's run: 3 when some of its messages could not be read.
int consolidate_one(cli::Session& session, const tree::Tree& tree, const tree::Config& config,
                    const std::string& persona, const ConsolidateArguments& arguments, embed::Embedder* embedder,
                    memory::LanguageModel* model, Time now) {
  memory::ConsolidateOptions options;
  options.now = now;
  options.importance = memory::importance_options(config);
  options.model = model;
  if (arguments.explain) options.on_decision = [&session](const memory::Decided& decision) { session.show(decision); };
  session::read_conversations(tree);  // before a store is made for nothing
  memory::Store store(tree, persona, store_options(config, arguments.wait));
  const unsigned threads = cli::threads_or_all(arguments.threads);
  if (embedder != nullptr) store.use_embedder(*embedder, threads, session.progress());
  memory::VectorSource vectors;
  if (embedder != nullptr)
    vectors = vectors_of(std::make_shared<TurnVectors>(tree, persona, *embedder, threads, session.progress()));
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
  const Error& fault = *model.fault();
  log_warn("the language model did not answer all that it was asked, and was done without there: {}{}", fault.what(),
           fault.hint().empty() ? "" : " (" + fault.hint() + ")");
}

int consolidate_chosen(cli::Session& session, const tree::Tree& tree, const tree::Config& config,
                       const ConsolidateArguments& arguments, memory::LanguageModel* model, Time now) {
  if (!arguments.all) {
    const std::string persona = chosen_persona(arguments.persona, config);
    const auto embedder = embedder_if_any(tree, config);
    return consolidate_one(session, tree, config, persona, arguments, embedder.get(), model, now);
  }
  // One that another run holds, or whose files are damaged, keeps none of the others waiting.
  int status = 0;
  const auto personas = tree::personas(config);
  const auto embedder = personas.empty() ? nullptr : embedder_if_any(tree, config);
  for (const std::string& persona : personas) try {
      status = std::max(status, consolidate_one(session, tree, config, persona, arguments, embedder.get(), model, now));
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted || error.code() == Errc::usage || personas.size() == 1) throw;
      log_warn("{}: {}", persona, error.what());
      status = kStatusPartial;
    }
  return status;
}

int consolidate(cli::Session& session, const ConsolidateArguments& arguments) {
  const Time now = arguments.now.empty() ? reef::now() : parse_time(arguments.now);
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree);
  auto model = open_language_model(config, arguments.no_llm);
  const int status = consolidate_chosen(session, tree, config, arguments, model ? &*model : nullptr, now);
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
