#include "reef/retrieve/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <set>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/retrieve/near_duplicates.h"
#include "reef/tree/persona.h"

namespace reef::retrieve {
namespace {

const std::vector<std::string> kLayerNames{"persona", "shared", "documents"};

double milliseconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<std::string> wanted_layers(const tree::Config& config, const QueryOptions& options) {
  auto names = options.layers.empty() ? config.list("system", "retrieve.layers") : options.layers;
  for (const std::string& name : names) {
    if (std::find(kLayerNames.begin(), kLayerNames.end(), name) != kLayerNames.end()) continue;
    const auto meant = nearest(name, kLayerNames);
    throw Error(Errc::usage,
                fmt::format("unknown layer '{}'{}", name, meant ? fmt::format(", did you mean '{}'?", *meant) : ""),
                fmt::format("layers are {}", fmt::join(kLayerNames, ", ")));
  }
  return names;
}

}  // namespace

/// The layers of one query with their priors, and the scopes that they stand on.
struct Searcher::Layers {
  std::vector<std::unique_ptr<Layer>> layers;
  std::vector<double> priors;
  std::vector<std::shared_ptr<ScopeSearch>> scopes;
};

Searcher::Searcher(const tree::Tree& tree, const tree::Config& config, EmbedderMaker make_embedder)
    : tree_(tree), config_(config), make_embedder_(std::move(make_embedder)) {}
Searcher::~Searcher() = default;

embed::Embedder& Searcher::embedder() {
  if (!embedder_) embedder_ = make_embedder_();
  return *embedder_;
}

std::size_t Searcher::count_tokens(std::string_view text) {
  return embedder_ ? embedder_->count_tokens(text) : (text.size() + 3) / 4;
}

Searcher::Layers Searcher::layers_of(const QueryOptions& options) {
  const auto names = wanted_layers(config_, options);
  const auto wants = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (options.persona) tree::require_persona_id(*options.persona);
  Layers result;
  const auto open = [&](const tree::Scope& scope) -> std::shared_ptr<ScopeSearch> {
    auto& slot = scopes_[scope.name()];
    if (!slot && document::Snapshot::exists(tree_.vectors(scope))) slot = std::make_shared<ScopeSearch>(tree_, scope);
    if (slot && std::find(result.scopes.begin(), result.scopes.end(), slot) == result.scopes.end())
      result.scopes.push_back(slot);
    return slot;
  };
  const auto add = [&](const std::shared_ptr<ScopeSearch>& scope, const char* name, bool text_only) {
    if (!scope || scope->snapshot().map().rows(text_only) == 0) return;
    result.layers.push_back(make_document_layer(scope, name, text_only));
    result.priors.push_back(config_.number("system", fmt::format("retrieve.priors.{}", name)));
  };
  std::vector<tree::Scope> scopes;
  if (options.persona && (wants("persona") || wants("documents")))
    scopes.push_back(tree::Scope::persona(*options.persona));
  if (wants("shared") || (wants("documents") && (!options.persona || wants("shared"))))
    scopes.push_back(tree::Scope::shared());
  for (const std::string& name : names) {
    for (const tree::Scope& scope : scopes) {
      if (name == "persona" && !scope.is_shared()) add(open(scope), "persona", false);
      if (name == "shared" && scope.is_shared()) add(open(scope), "shared", false);
      if (name == "documents") add(open(scope), "documents", true);
    }
  }
  if (result.layers.empty())
    throw Error(Errc::not_found,
                fmt::format("nothing to search: no documents were ingested for {}",
                            options.persona ? fmt::format("persona '{}' or the shared scope", *options.persona)
                                            : "the shared scope"),
                "run 'reef-index ingest PATH' first; 'reef-index stat' shows what is there");
  return result;
}

void Searcher::check_model(const ScopeSearch& scope) {
  const auto& state = scope.snapshot().vectors().state();
  const auto identity = embedder_->identity();
  if (state.rows_total == 0 || state.model_digest == identity.digest) return;
  throw Error(Errc::usage,
              fmt::format("the vectors of {} come from {} ({} dimensions), the question's would come from {} ({})",
                          scope.snapshot().scope().name(), state.model, state.dim, identity.name, identity.dim),
              fmt::format("set default_embedding: {} in models.yaml, or pass --mode bm25", state.model));
}

Answer Searcher::query(const std::string& text, const QueryOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string question_text = to_valid_utf8(text);
  Question question;
  question.filter = options.filter;
  if (options.mode != Mode::dense) question.terms = document::query_terms(question_text);
  Answer result;
  if (options.mode == Mode::bm25) {
    auto layers = layers_of(options);
    result = answer(question, layers, options);
  } else {
    // Opening the stores and looking words up takes about as long as the model: one thread each.
    auto opened = std::async(std::launch::async, [&] {
      auto layers = layers_of(options);
      for (const auto& scope : layers.scopes) scope->ask(question);
      return layers;
    });
    std::exception_ptr failed;
    try {
      question.vector.resize(embedder().identity().dim);
      embedder_->embed_query(question_text, question.vector);
    } catch (...) {
      failed = std::current_exception();
    }
    auto layers = opened.get();  // "nothing ingested" is the better message of the two
    if (failed) std::rethrow_exception(failed);
    if (options.mode == Mode::dense) require_vectors(layers);
    for (const auto& scope : layers.scopes) check_model(*scope);
    result = answer(question, layers, options);
  }
  result.question = question_text;
  result.elapsed_ms = milliseconds_since(begin);
  return result;
}

void Searcher::require_vectors(const Layers& layers) {
  const auto& scopes = layers.scopes;
  if (std::any_of(scopes.begin(), scopes.end(), [](const auto& scope) { return !scope->snapshot().vectors().empty(); }))
    return;
  throw Error(Errc::not_found, "no document that could be searched has vectors",
              "ask in words with --mode bm25, or ingest the documents without --text-only");
}

Answer Searcher::query_vector(std::vector<float> vector, const QueryOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  auto layers = layers_of(options);
  require_vectors(layers);
  for (const auto& scope : layers.scopes) {
    const auto& state = scope->snapshot().vectors().state();
    if (state.rows_total > 0 && state.dim != vector.size())
      throw Error(Errc::usage,
                  fmt::format("the vector has {} dimensions, those of {} have {}", vector.size(),
                              scope->snapshot().scope().name(), state.dim),
                  fmt::format("make it with {}", state.model));
  }
  Question question;
  question.filter = options.filter;
  question.vector = std::move(vector);
  QueryOptions dense = options;
  dense.mode = Mode::dense;
  Answer result = answer(question, layers, dense);
  result.elapsed_ms = milliseconds_since(begin);
  return result;
}

Answer Searcher::answer(const Question& question, Layers& layers, const QueryOptions& options) {
  FuseOptions fuse;
  fuse.mode = options.mode;
  fuse.candidates = std::max<std::size_t>(fuse.candidates, options.count);
  if (embedder_) {
    const std::string key = fmt::format("models.{}.fusion_weight", embedder_->identity().name);
    fuse.dense_weight = config_.number("models", key);
  }
  Answer answer;
  NearDuplicates texts;
  std::set<std::string> documents;
  for (const Scored& scored : search_and_fuse(layers.layers, layers.priors, question, fuse)) {
    if (answer.results.size() >= options.count) break;
    auto passage = layers.layers[scored.layer]->fetch(scored.id);
    if (!passage) continue;
    if (!options.chunks && !documents.insert(passage->scope + "\n" + passage->document).second) continue;
    if (!texts.add(passage->text)) continue;
    answer.results.push_back({answer.results.size() + 1, layers.layers[scored.layer]->name(), scored.score, scored.bm25,
                              scored.cosine, std::move(*passage)});
  }
  return answer;
}

Passage show(const tree::Tree& tree, const std::string& id) {
  const auto wanted = document::parse_chunk_id(id);
  const auto absent = [&] {
    return Error(Errc::not_found, fmt::format("no passage '{}'", id),
                 "its document may have been replaced or removed; ask again with 'reef-index query'");
  };
  if (!document::Snapshot::exists(tree.vectors(wanted.scope))) throw absent();
  const auto layer = make_document_layer(std::make_shared<ScopeSearch>(tree, wanted.scope), "", false);
  auto passage = layer->fetch(wanted.chunk);
  if (!passage) throw absent();
  return std::move(*passage);
}

}  // namespace reef::retrieve
