#include <fmt/format.h>

#include <set>

#include "commands.h"
#include "common/batch_lines.h"
#include "common/search.h"
#include "reef/core/cancel.h"
#include "reef/core/log.h"
#include "reef/core/time.h"
#include "reef/document/stores.h"
#include "reef/embed/default_embedder.h"
#include "reef/memory/store.h"
#include "reef/retrieve/query.h"
#include "reef/tree/persona.h"
#include "reef/vector/foreign_npy.h"

namespace reef::tool {
namespace {

struct QueryArguments : SearchChoice {
  retrieve::QueryOptions options;
  std::optional<std::string> vector_file;
  std::uint64_t budget = 2000;
  bool context = false;
};

void print_answer(cli::Session& session, const QueryArguments& arguments, retrieve::Searcher& searcher,
                  const retrieve::Answer& answer) {
  if (arguments.context && !session.json())
    cli::Session::print(retrieve::format_context(answer, arguments.budget,
                                                 [&](std::string_view t) { return searcher.count_tokens(t); }));
  else
    session.show(answer);
}

/// After an answer is out: the memories in it were asked for.
void touch_memories(const tree::Tree& tree, const QueryArguments& arguments, const retrieve::Answer& answer,
                    const std::optional<std::string>& persona) {
  const auto ids = retrieve::memories_in(answer);
  if (!arguments.no_touch && persona && !ids.empty()) memory::touch(tree, *persona, ids);
}

int run_batch(const tree::Tree& tree, const QueryArguments& arguments, retrieve::Searcher& searcher,
              LatencyRecord& latency) {
  int status = 0;
  const auto fault = [&](const BatchLines& lines, const std::string& what) {
    log_warn("{}:{}: {}", *arguments.batch, lines.number(), what);
    status = kStatusPartial;
  };
  const tree::Config personas = tree::Config::load(tree, {"personas"});
  std::set<std::string> warned;  // of what is on shards that are missing
  for (BatchLines lines(*arguments.batch); lines.next();) {
    check_interrupt();
    if (cli::Session::flush() != 0) break;  // the reader went away
    if (!lines.fault().empty()) {
      fault(lines, lines.fault());
      continue;
    }
    if (retrieve::is_blank(lines.text())) {
      fault(lines, "the question is empty");
      continue;
    }
    retrieve::QueryOptions options = arguments.options;
    if (lines.persona()) {
      options.persona = lines.persona();
      try {
        tree::require_persona(personas, *options.persona);
      } catch (const Error& error) {
        fault(lines, error.what());
        continue;
      }
    }
    retrieve::Answer answer;
    try {
      answer = searcher.query(lines.text(), options);
    } catch (const Error& error) {
      const bool out_of_reach =
          !tree::missing_stores(tree, tree::Scope::shared()).empty() ||
          (options.persona && !tree::missing_stores(tree, tree::Scope::persona(*options.persona)).empty());
      if (error.code() != Errc::not_found || !out_of_reach) throw;
      fault(lines, error.what());
      continue;
    }
    if (!answer.missing.empty()) status = kStatusPartial;
    for (const auto& missing : answer.missing)
      if (warned.insert(missing.scope).second) warn_missing(missing);
    answer.id = lines.id();
    cli::Session::print(to_json(answer) + "\n");
    latency.add(answer.elapsed_ms);
    touch_memories(tree, arguments, answer, options.persona);
  }
  return status;
}

std::vector<float> read_vector(const std::string& file) {
  vector::ForeignNpy given(file);
  if (given.rows() != 1)
    throw Error(Errc::usage, fmt::format("{} holds {} vectors, a query takes one", file, given.rows()),
                "save an array of shape (1, dim) or (dim,)");
  std::vector<float> vector(given.dim());
  given.read(0, 1, vector);
  return vector;
}

int query(cli::Session& session, QueryArguments& arguments) {
  prepare_heap();
  arguments.options.count = arguments.count;
  arguments.options.mode = arguments.mode;
  const int given = arguments.text.has_value() + arguments.batch.has_value() + arguments.vector_file.has_value();
  if (given != 1) throw Error(Errc::usage, "name one question, --batch or --vector", "try 'reef-index query --help'");
  if (arguments.context && (session.json() || arguments.batch))
    throw Error(Errc::usage, "--context prints text for one question: leave --json and --batch out", "");
  if (arguments.vector_file && arguments.options.mode == retrieve::Mode::bm25)
    throw Error(Errc::usage, "--vector has no words to search by: leave --mode bm25 out", "");
  const tree::Tree tree = open_tree(session, false);
  const tree::Config config = tree::Config::load(tree, {"system", "models"});
  if (arguments.options.persona && !document::holds_store(tree, tree::Scope::persona(*arguments.options.persona)))
    tree::require_persona(tree::Config::load(tree, {"personas"}), *arguments.options.persona);
  retrieve::Searcher searcher(tree, config,
                              [&](const std::string& name) { return embed::open_embedder(tree, config, name); });
  LatencyRecord latency(tree, !arguments.no_touch);
  if (arguments.batch) return run_batch(tree, arguments, searcher, latency);
  const auto answer = arguments.vector_file
                          ? searcher.query_vector(read_vector(*arguments.vector_file), arguments.options)
                          : searcher.query(question_text(*arguments.text), arguments.options);
  print_answer(session, arguments, searcher, answer);
  latency.add(answer.elapsed_ms);
  touch_memories(tree, arguments, answer, arguments.options.persona);
  for (const auto& missing : answer.missing) warn_missing(missing);
  return answer.missing.empty() ? 0 : kStatusPartial;
}

int show(cli::Session& session, const std::string& id) {
  session.show(retrieve::show(open_tree(session, false), id));
  return 0;
}

}  // namespace

void add_query(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<QueryArguments>();
  retrieve::QueryOptions& options = arguments->options;
  CLI::App* verb = cli::add_verb(app, "query", "Answer a question with cited passages",
                                 "reef-index query --persona alice 'when does the lease end?'");
  add_search(*verb, arguments, "Leave no trace: record neither the time taken nor an access");
  verb->add_option("--persona", options.persona, "Search this persona's knowledge too")->type_name("ID");
  verb->add_option("--layers", options.layers, "Layers to search: memories,persona,shared,documents")
      ->delimiter(',')
      ->type_name("LIST")
      ->allow_extra_args(false);
  const auto date = [&](const char* name, std::string document::Snapshot::Filter::*field, const char* about) {
    verb->add_option_function<std::string>(
            name,
            [arguments, field](const std::string& text) {
              arguments->options.filter.*field = to_rfc3339(parse_time(text));
            },
            about)
        ->type_name("DATE");
  };
  date("--since", &document::Snapshot::Filter::since, "Documents of this day or later");
  date("--until", &document::Snapshot::Filter::until, "Documents before this day");
  verb->add_option("--tag", options.filter.tags, "Documents with this tag (may be repeated: any of them)")
      ->type_name("TAG")
      ->allow_extra_args(false);
  verb->add_option("--document", options.filter.documents,
                   "This document, by id or path of its file (may be repeated: any of them)")
      ->type_name("DOC")
      ->allow_extra_args(false);
  verb->add_flag("--chunks", options.chunks, "Several passages of one document");
  verb->add_flag("--context", arguments->context, "Text for a language model, every passage under its citation");
  cli::add_count(*verb, "--budget", arguments->budget, "Tokens that --context may use (default: 2000)");
  verb->add_option("--vector", arguments->vector_file, "Search by a vector from a .npy file")->type_name("FILE");
  verb->callback([=, &session] { session.choose([=, &session] { return query(session, *arguments); }); });
}

void add_show(CLI::App& app, cli::Session& session) {
  auto id = std::make_shared<std::string>();
  CLI::App* verb = cli::add_verb(app, "show", "Print a result's full text, source and place", "reef-index show S12");
  verb->add_option("id", *id, "Id of a result")->required()->type_name("ID");
  verb->callback([=, &session] { session.choose([=, &session] { return show(session, *id); }); });
}

}  // namespace reef::tool
