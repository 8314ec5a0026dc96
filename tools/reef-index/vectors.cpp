// Embeddings made elsewhere: `add`, and `build` with --vectors.
#include <fmt/format.h>

#include "commands.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/table.h"
#include "reef/document/given_vectors.h"
#include "reef/embed/default_embedder.h"

namespace reef::tool {
namespace {

using Work = document::GivenReport (*)(const tree::Tree&, const document::GivenOptions&, const document::FindEmbedding&,
                                       Progress&);

int take(cli::Session& session, const GivenChoice& choice, document::GivenOptions options, const ScopeChoice& scope,
         Work work) {
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree);
  options.vectors = *choice.vectors;
  options.metadata = *choice.metadata;
  options.embedding = choice.embedding.value_or("");
  if (printable(options.embedding) != options.embedding)
    throw Error(Errc::usage, fmt::format("'{}' is no name of a model", printable(options.embedding)), "");
  options.scope = chosen_scope(scope, config);
  options.threads = cli::threads_or_all(options.threads);
  const auto find = [&](const std::string& name) -> std::optional<embed::Identity> {
    try {
      return embed::open_embedder(tree, config, name)->identity();
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;
      return std::nullopt;
    }
  };
  const auto report = work(tree, options, find, session.progress());
  if (report.stretched > 0)
    log_info("{}: {} of {} rows were not of length 1 and were brought to it", *choice.vectors, report.stretched,
             report.rows);
  if (report.undated > 0)
    log_warn("{}: {} of {} documents have a date that is not RFC 3339; to --since and --until they are from today",
             *choice.metadata, report.undated, report.rows);
  if (session.json() || !session.quiet()) session.show(report);
  return 0;
}

}  // namespace

void add_given(CLI::App& app, const std::shared_ptr<GivenChoice>& choice, bool needed) {
  auto* vectors = app.add_option("--vectors", choice->vectors,
                                 "Embeddings made elsewhere: a .npy file, float32 or float16, one row a document")
                      ->type_name("FILE");
  auto* metadata = app.add_option("--metadata", choice->metadata,
                                  "Their texts: one {id,text[,title][,tags][,created]} a line, line i for row i")
                       ->type_name("FILE")
                       ->needs(vectors);
  vectors->needs(metadata);
  if (needed) {
    vectors->required();
    metadata->required();
  }
  app.add_option("--embedding", choice->embedding,
                 needed ? "The model that made them, which embeds questions"
                        : "Embed all texts again with this model; with --vectors: the model that made those")
      ->type_name("NAME");
}

void warn_short_of_recall(const std::string& scope, double recall, double asked) {
  log_warn("{}: recall@10 is {:.3f}, under the {} asked for; 'reef-index bench' tells which width of search reaches it",
           scope, recall, asked);
}

bool embed_again(cli::Session& session, const tree::Tree& tree, const document::ReembedOptions& options,
                 embed::Embedder& embedder) {
  const auto report = document::reembed(tree, options, embedder, session.progress());
  if (!report) {
    log_info("{}: nothing to embed with {}: its vectors are of that model already, or it has none",
             options.scope.name(), embedder.identity().name);
    return false;
  }
  if (report->cut > 0)
    log_warn(
        "{}: {} of {} passages are longer than {} reads, and their ends are not in their vectors; remove those "
        "documents and ingest them again to have them cut anew",
        report->scope, report->cut, report->chunks, report->model);
  if (report->recall && report->recall->graph < report->asked_recall)
    warn_short_of_recall(report->scope, report->recall->graph, report->asked_recall);
  if (session.json() || !session.quiet()) session.show(*report);
  return true;
}

int build_from_vectors(cli::Session& session, const GivenChoice& choice, document::GivenOptions options,
                       const ScopeChoice& scope) {
  return take(session, choice, std::move(options), scope, document::build_from_vectors);
}

void add_add(CLI::App& app, cli::Session& session) {
  auto given = std::make_shared<GivenChoice>();
  auto scope = std::make_shared<ScopeChoice>();
  auto options = std::make_shared<document::GivenOptions>();
  CLI::App* verb = cli::add_verb(app, "add", "Add documents whose vectors were made elsewhere",
                                 "reef-index add --vectors v.npy --metadata v.jsonl --embedding bge-small-en-v1.5");
  add_given(*verb, given, true);
  add_scope(*verb, scope);
  cli::add_wait(*verb, options->wait);
  cli::add_threads(*verb, options->threads);
  verb->callback([=, &session] {
    session.choose([=, &session] { return take(session, *given, *options, *scope, document::add_vectors); });
  });
}

}  // namespace reef::tool
