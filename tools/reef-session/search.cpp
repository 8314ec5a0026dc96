#include <fmt/format.h>

#include "commands.h"
#include "common/search.h"
#include "reef/core/log.h"
#include "reef/embed/default_embedder.h"
#include "reef/retrieve/conversation.h"
#include "reef/session/index.h"
#include "reef/session/turn_store.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

/// Few turns that came since the last run of `index` are embedded first. What keeps it from that (another run, a tree
/// that cannot be written, a model that is not there) leaves them to be found by words. False where it was told.
bool embed_pending(const tree::Tree& tree, const tree::Config& config, const std::string& persona) {
  const std::uint64_t limit = config.count("system", "session.embed_on_search");
  if (limit == 0 || (session::pending_turns(tree, persona) == 0 && session::TurnReader::exists(tree, persona)))
    return true;
  try {
    session::IndexOptions options;
    options.persona = persona;
    options.limit = limit;
    options.quick = true;
    options.threads = cli::threads_or_all(0);
    session::index_turns(tree, options, *embed::open_default_embedder(tree, config), no_progress());
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted || error.code() == Errc::corrupt) throw;
    if (error.code() == Errc::usage) {  // vectors of another model, which no search makes anew
      log_warn("new messages of {} are searched by words alone: {} ({})", persona, error.what(), error.hint());
      return false;
    }
    log_info("new messages of {} are searched by words alone: {}", persona, error.what());
  }
  return true;
}

class Search {
 public:
  Search(cli::Session& session, const SearchChoice& choice)
      : session_(session),
        choice_(choice),
        tree_(open_tree(session, true)),  // it may embed what is pending
        config_(tree::Config::load(tree_)),
        searcher_(tree_, config_,
                  [this](const std::string& name) { return embed::open_embedder(tree_, config_, name); }),
        latency_(tree_, !choice.no_touch) {
    if (choice.persona) tree::require_persona(config_, *choice.persona);
    embed_for(choice.persona);
  }

  int one() {
    const auto answer = searcher_.search(question_text(*choice_.text), options(choice_.persona));
    session_.show(answer);
    finish(answer);
    return status(0);
  }

  int batch() {
    const int done = run_batch(choice_, [this](const BatchLines& lines) {
      if (lines.persona()) tree::require_persona(config_, *lines.persona());
      auto answer = searcher_.search(lines.text(), options(lines.persona() ? lines.persona() : choice_.persona));
      answer.id = lines.id();
      cli::Session::print(to_json(answer) + "\n");
      finish(answer);
    });
    return status(done);
  }

 private:
  retrieve::MessageQuery options(const std::optional<std::string>& persona) const {
    return {persona, static_cast<std::size_t>(choice_.count), choice_.mode};
  }
  void embed_for(const std::optional<std::string>& persona) {
    if (choice_.mode == retrieve::Mode::bm25) return;
    for (const std::string& id : persona ? std::vector{*persona} : tree::personas(config_))
      told_ |= !embed_pending(tree_, config_, id);
  }
  void finish(const retrieve::MessageAnswer& answer) {
    latency_.add(answer.elapsed_ms);
    damaged_ |= answer.damaged;
    if (answer.by_words > 0 && choice_.mode != retrieve::Mode::bm25 && !std::exchange(told_, true))
      log_warn("{} messages are not embedded yet and were searched by words alone (run 'reef-session index --all')",
               answer.by_words);
  }

  cli::Session& session_;
  const SearchChoice& choice_;
  tree::Tree tree_;
  tree::Config config_;
  retrieve::ConversationSearcher searcher_;
  LatencyRecord latency_;
  int status(int done) const { return done == 0 && damaged_ ? kStatusPartial : done; }

  bool told_ = false;
  bool damaged_ = false;  ///< a text could not be read
};

}  // namespace

void add_search(CLI::App& app, cli::Session& session) {
  auto choice = std::make_shared<SearchChoice>();
  CLI::App* verb = cli::add_verb(app, "search", "Find what was said",
                                 "reef-session search --persona alice 'where did we leave the keys?'");
  add_search(*verb, choice, "Do not record the time that it took");
  verb->add_option("--persona", choice->persona, "In this persona's conversations (default: in all)")->type_name("ID");
  verb->callback([=, &session] {
    session.choose([=, &session] {
      prepare_heap();
      if (choice->text.has_value() == choice->batch.has_value())
        throw Error(Errc::usage, "name one question, or --batch", "try 'reef-session search --help'");
      Search search(session, *choice);
      return choice->batch ? search.batch() : search.one();
    });
  });
}

}  // namespace reef::tool
