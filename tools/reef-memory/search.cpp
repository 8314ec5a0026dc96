#include "common/search.h"
#include "commands.h"
#include "reef/embed/default_embedder.h"
#include "reef/retrieve/query.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

class Search {
 public:
  Search(cli::Session& session, const SearchChoice& choice, const PersonaChoice& persona)
      : session_(session),
        choice_(choice),
        tree_(open_tree(session, false)),
        config_(tree::Config::load(tree_)),
        searcher_(tree_, config_,
                  [this](const std::string& name) { return embed::open_embedder(tree_, config_, name); }),
        latency_(tree_, !choice.no_touch) {
    options_.layers = {"memories"};
    options_.count = static_cast<std::size_t>(choice.count);
    options_.mode = choice.mode;
    options_.words_suffice = true;
    if (choice.text || *persona) options_.persona = chosen_persona(persona, config_);
  }

  int one() {
    retrieve::MemoryAnswer answer{searcher_.query(question_text(*choice_.text), options_)};
    session_.show(answer);
    finish(answer.answer);
    return 0;
  }

  int batch() {
    return run_batch(choice_, [this](const BatchLines& lines) {
      retrieve::QueryOptions options = options_;
      if (lines.persona()) options.persona = lines.persona();
      options.persona = chosen_persona(std::make_shared<std::optional<std::string>>(options.persona), config_);
      retrieve::MemoryAnswer answer{searcher_.query(lines.text(), options)};
      answer.answer.id = lines.id();
      cli::Session::print(to_json(answer) + "\n");
      finish(answer.answer, *options.persona);
    });
  }

 private:
  void finish(const retrieve::Answer& answer) { finish(answer, *options_.persona); }
  /// After the answer is out.
  void finish(const retrieve::Answer& answer, const std::string& persona) {
    latency_.add(answer.elapsed_ms);
    if (!choice_.no_touch) memory::touch(tree_, persona, retrieve::memories_in(answer));
  }

  cli::Session& session_;
  const SearchChoice& choice_;
  tree::Tree tree_;
  tree::Config config_;
  retrieve::Searcher searcher_;
  retrieve::QueryOptions options_;
  LatencyRecord latency_;
};

}  // namespace

void add_search(CLI::App& app, cli::Session& session) {
  auto choice = std::make_shared<SearchChoice>();
  CLI::App* verb = cli::add_verb(app, "search", "Find what a persona remembers of something",
                                 "reef-memory search --persona alice 'where does Bob live?'");
  add_search(*verb, choice, "Leave no trace: record neither the time taken nor an access");
  const PersonaChoice persona = add_persona(*verb);
  verb->callback([=, &session] {
    session.choose([=, &session] {
      prepare_heap();
      if (choice->text.has_value() == choice->batch.has_value())
        throw Error(Errc::usage, "name one question, or --batch", "try 'reef-memory search --help'");
      Search search(session, *choice, persona);
      return choice->batch ? search.batch() : search.one();
    });
  });
}

}  // namespace reef::tool
