#include "reef/retrieve/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/text.h"
#include "reef/document/stores.h"
#include "reef/retrieve/internal/results.h"
#include "reef/text/chunk.h"
#include "reef/tree/persona.h"
#include "reef/tree/shards.h"

namespace reef::retrieve {
namespace {

double milliseconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<std::string> wanted_layers(const tree::Config& config, const QueryOptions& options) {
  if (options.layers.empty()) return config.list("system", "retrieve.layers");
  const auto known = tree::allowed_words("system", "retrieve.layers");
  for (const std::string& name : options.layers) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const auto meant = nearest(name, known);
    throw Error(Errc::usage,
                fmt::format("unknown layer '{}'{}", name, meant ? fmt::format(", did you mean '{}'?", *meant) : ""),
                fmt::format("layers are {}", fmt::join(known, ", ")));
  }
  return options.layers;
}

/// A document that a filter names and nobody has would give an answer without results, and no reason for it.
void require_documents(const std::vector<std::shared_ptr<ScopeSearch>>& scopes, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (std::any_of(scopes.begin(), scopes.end(), [&](const auto& s) { return s->holds_document(name); })) continue;
    throw Error(Errc::not_found, fmt::format("no document '{}' in what is searched", name),
                "--document takes the id or the path that a result shows; 'reef-index show ID' prints them");
  }
}

/// Candidates of one search that are asked for at most, so that a mass of near-duplicates cannot hold
/// a question up.
constexpr std::size_t kWidest = 25'600;

}  // namespace

bool is_blank(std::string_view question) {
  for (std::size_t i = 0; i < question.size(); ++i) {
    const auto byte = static_cast<unsigned char>(question[i]);
    if (byte <= ' ' || byte == 0x7f) continue;
    const auto rest = question.substr(i);
    if (rest.starts_with("\u00a0") || rest.starts_with("\u3000") || rest.starts_with("\ufeff")) {
      i += rest.starts_with("\u00a0") ? 1 : 2;
      continue;
    }
    return false;
  }
  return true;
}

/// The layers of one query with their priors, and the scopes that they stand on.
struct Searcher::Layers {
  std::vector<std::shared_ptr<Layer>> layers;
  std::vector<double> priors;
  std::vector<std::shared_ptr<ScopeSearch>> scopes;
  std::shared_ptr<MemoryStore> memories;
  std::vector<tree::MissingStore> missing;
};

Searcher::Searcher(const tree::Tree& tree, const tree::Config& config, embed::EmbedderMaker make_embedder)
    : tree_(tree), config_(config), make_embedder_(std::move(make_embedder)) {}
Searcher::~Searcher() = default;

embed::Embedder& Searcher::embedder(const std::string& name, const std::string& digest) {
  auto found = embedders_.find(name);
  if (found == embedders_.end())
    found = embedders_.emplace(name, embed::open_embedder_of(make_embedder_, name, digest)).first;
  return *found->second;
}

std::size_t Searcher::count_tokens(std::string_view text) {
  return embedders_.empty() ? text::estimated_tokens(text) : embedders_.begin()->second->count_tokens(text);
}

std::shared_ptr<MemoryStore> Searcher::memories(const std::string& persona) {
  const auto known = memories_.find(persona);
  if (known != memories_.end()) return known->second;
  auto& slot = memories_[persona];
  if (MemoryStore::exists(tree_, persona)) slot = std::make_shared<MemoryStore>(tree_, config_, persona);
  return slot;
}

Searcher::Layers Searcher::layers_of(const QueryOptions& options) {
  const auto names = wanted_layers(config_, options);
  const auto wants = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (options.persona) tree::require_persona_id(*options.persona);
  Layers result;
  const auto ef = static_cast<std::size_t>(config_.count("system", "retrieve.ef"));
  const auto open = [&](const tree::Scope& scope) -> std::shared_ptr<ScopeSearch> {
    auto& slot = scopes_[scope.name()];
    if (!slot && document::holds_store(tree_, scope))
      slot =
          tree::opened_in_place(tree_.vectors(scope), [&] { return std::make_shared<ScopeSearch>(tree_, scope, ef); });
    if (slot && std::find(result.scopes.begin(), result.scopes.end(), slot) == result.scopes.end())
      result.scopes.push_back(slot);
    return slot;
  };
  const auto add = [&](const std::shared_ptr<ScopeSearch>& scope, const char* name, bool text_only) {
    if (!scope || scope->rows(text_only) == 0) return;
    result.layers.push_back(make_document_layer(scope, name, text_only));
    result.priors.push_back(config_.number("system", fmt::format("retrieve.priors.{}", name)));
  };
  if (options.persona && wants("memories") && options.filter.empty()) {
    result.memories = memories(*options.persona);
    if (result.memories && !result.memories->empty()) {
      result.layers.push_back(result.memories->layer());
      result.priors.push_back(config_.number("system", "retrieve.priors.memories"));
    }
  }
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
  for (const tree::Scope& scope : scopes) {
    const auto& opened = scopes_[scope.name()];
    const auto missing = opened ? opened->missing() : tree::missing_stores(tree_, scope);
    result.missing.insert(result.missing.end(), missing.begin(), missing.end());
  }
  if (result.layers.empty() && !result.missing.empty())
    throw Error(Errc::not_found, result.missing.front().what, result.missing.front().hint);
  if (result.missing.empty()) require_documents(result.scopes, options.filter.documents);
  if (result.layers.empty() && options.persona && names == std::vector<std::string>{"memories"})
    throw Error(
        Errc::not_found, fmt::format("persona '{}' has no memories yet", *options.persona),
        fmt::format("run 'reef-memory consolidate --persona {}' after a conversation was imported", *options.persona));
  if (result.layers.empty())
    throw Error(Errc::not_found,
                fmt::format("nothing to search: no documents were ingested for {}",
                            options.persona ? fmt::format("persona '{}' or the shared scope", *options.persona)
                                            : "the shared scope"),
                "run 'reef-index ingest PATH' first; 'reef-index stat' shows what is there");
  return result;
}

const std::vector<float>& Searcher::vector_of(const std::string& text, embed::Embedder& model, Vectors& vectors) {
  const auto identity = model.identity();
  auto& vector = vectors[identity.digest + "\n" + text];
  if (vector.empty()) {
    vector.resize(identity.dim);
    model.embed_query(text, vector);
  }
  return vector;
}

/// By the models that the scopes seem to have, which embed_for() makes sure of.
void Searcher::embed_ahead(const std::string& text, const QueryOptions& options, Vectors& vectors) {
  std::vector<tree::Scope> scopes{tree::Scope::shared()};
  if (options.persona) scopes.push_back(tree::Scope::persona(*options.persona));
  for (const tree::Scope& scope : scopes) {
    std::string name;
    for (const tree::Part& part : tree::parts_of(tree_, scope))
      if (name.empty()) name = vector::hinted_model(part.folder);
    if (name.empty()) continue;
    try {
      vector_of(text, embedder(name, ""), vectors);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;
    }
  }
}

/// A layer and the model of its vectors.
struct Searcher::Embeddable {
  std::string store;
  std::string model, digest;
  std::size_t dim;
  std::string text;     ///< what is embedded for it
  std::string way_out;  ///< how its vectors are made anew by another model
  std::function<void(const std::vector<float>&)> use;
};

/// Throws Error{not_found} when it is not installed, Error{usage} when what has that name makes others.
embed::Embedder& Searcher::matching_embedder(const Embeddable& store) {
  if (const auto made = embedders_.find(store.model);
      made != embedders_.end() && !embed::makes_vectors_of(made->second->identity(), store.digest, store.dim))
    embedders_.erase(made);  // of that name, and maybe the default one makes these vectors
  embed::Embedder& model = embedder(store.model, store.digest);
  const auto identity = model.identity();
  if (embed::makes_vectors_of(identity, store.digest, store.dim)) return model;
  throw Error(
      Errc::usage,
      fmt::format("the vectors of {} come from {} ({} dimensions), the question's would come from {} ({}), which "
                  "makes others",
                  store.store, store.model, store.dim, identity.name, identity.dim),
      fmt::format("bring the model of the vectors back, {}, or pass --mode bm25", store.way_out));
}

std::vector<Searcher::Embeddable> Searcher::embeddable(Layers& layers, const std::string& text) {
  std::vector<Embeddable> all;
  for (const auto& scope : layers.scopes) {
    const auto& state = scope->state();
    if (state.rows_total > 0)
      all.push_back({scope->scope().name(), state.model, state.model_digest, state.dim, text,
                     "embed them again with 'reef-index build --embedding NAME'",
                     [scope](const std::vector<float>& vector) { scope->use_vector(vector); }});
  }
  if (const auto& memories = layers.memories; memories && memories->vectors().dim > 0 && !memories->empty()) {
    const auto& state = memories->vectors();
    all.push_back({"the memories of " + memories->persona(), state.model, state.model_digest, state.dim,
                   memories->layer()->dense_text(text),
                   fmt::format("embed them again with 'reef-memory export --persona {}'", memories->persona()),
                   [memories](const std::vector<float>& vector) { memories->layer()->use_vector(vector); }});
  }
  return all;
}

void Searcher::embed_for(Layers& layers, const std::string& text, const QueryOptions& options, Vectors& vectors) {
  const bool words_suffice = options.words_suffice && options.mode == Mode::hybrid;
  std::optional<Error> missing;
  std::vector<std::string> without;
  bool any = false;
  for (const Embeddable& store : embeddable(layers, text)) {
    try {
      store.use(vector_of(store.text, matching_embedder(store), vectors));
      any = true;
    } catch (const Error& error) {
      if (error.code() != Errc::not_found && !(words_suffice && error.code() == Errc::usage)) throw;
      without.push_back(store.store);
      if (!missing)
        missing.emplace(Errc::not_found,
                        fmt::format("the vectors of {} come from {}, which cannot embed the question: {}", store.store,
                                    store.model, error.what()),
                        fmt::format("bring {} with 'reef-model import', pass --mode bm25{}, or {}", store.model,
                                    options.words_suffice ? "" : " or --vector", store.way_out));
    }
  }
  if (missing && !words_suffice && (!any || options.mode == Mode::dense)) throw Error(*missing);
  for (const std::string& name : without)
    if (told_.insert(name).second) log_warn("{} is searched by words alone: {}", name, missing->what());
}

Answer Searcher::query(const std::string& text, const QueryOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const std::string question_text = to_valid_utf8(text);
  if (is_blank(question_text))
    throw Error(Errc::usage, "the question is empty", "ask in words, such as 'when does the lease end?'");
  Question question;
  question.text = question_text;
  question.filter = options.filter;
  if (options.mode != Mode::dense) question.terms = text::query_terms(question_text);
  Answer result;
  if (options.mode == Mode::bm25) {
    auto layers = layers_of(options);
    result = answer(question, layers, options);
  } else {
    // Opening the stores and looking words up takes about as long as the model: one thread each.
    auto opened = std::async(std::launch::async, [&] {
      auto layers = layers_of(options);
      for (const auto& scope : layers.scopes) scope->ask(question);
      if (layers.memories) layers.memories->layer()->ask(question);
      return layers;
    });
    std::exception_ptr failed;
    Vectors vectors;
    try {
      embed_ahead(question_text, options, vectors);
    } catch (...) {
      failed = std::current_exception();
    }
    auto layers = opened.get();  // "nothing ingested" is the better message of the two
    if (failed && !options.words_suffice) std::rethrow_exception(failed);
    if (options.mode == Mode::dense) require_vectors(layers);
    embed_for(layers, question_text, options, vectors);
    result = answer(question, layers, options);
  }
  result.question = question_text;
  result.elapsed_ms = milliseconds_since(begin);
  return result;
}

void Searcher::require_vectors(const Layers& layers) {
  const auto& scopes = layers.scopes;
  if (std::any_of(scopes.begin(), scopes.end(), [](const auto& scope) { return scope->state().rows_total > 0; }))
    return;
  if (layers.memories && layers.memories->vectors().dim > 0) return;
  throw Error(Errc::not_found, "nothing that could be searched has vectors",
              "ask in words with --mode bm25, or ingest the documents without --text-only");
}

Answer Searcher::query_vector(const std::vector<float>& vector, const QueryOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  auto layers = layers_of(options);
  require_vectors(layers);
  for (const Embeddable& store : embeddable(layers, ""))
    if (store.dim != vector.size())
      throw Error(
          Errc::usage,
          fmt::format("the vector has {} dimensions, those of {} have {}", vector.size(), store.store, store.dim),
          fmt::format("make it with {}, or choose --layers that it fits", store.model));
  Question question;
  question.filter = options.filter;
  for (const auto& scope : layers.scopes) {
    scope->ask(question);
    scope->use_vector(vector);
  }
  if (layers.memories) layers.memories->layer()->use_vector(vector);
  QueryOptions dense = options;
  dense.mode = Mode::dense;
  Answer result = answer(question, layers, dense);
  result.elapsed_ms = milliseconds_since(begin);
  return result;
}

Answer Searcher::answer(const Question& question, Layers& layers, const QueryOptions& options) {
  FuseOptions fuse;
  fuse.mode = options.mode;
  // Cosines alone need no scale: the first round gives few, a second what long documents and near-duplicates took.
  fuse.candidates = options.mode == Mode::dense ? std::max<std::size_t>(3 * options.count, 30)
                                                : std::max<std::size_t>(fuse.candidates, options.count);
  for (const auto& scope : layers.scopes) {
    const auto model = embedders_.find(scope->state().model);
    if (scope->vector().empty() || model == embedders_.end()) continue;
    fuse.dense_weight =
        config_.number("models", fmt::format("models.{}.fusion_weight", model->second->identity().name));
    break;
  }
  Answer answer;
  Fusion fusion(layers.layers, layers.priors, question, fuse);
  internal::Results results(layers.layers, options);
  results.take(fusion.search());
  // A book of 400 sections may fill all places. Its document is left out of the next, wider search,
  // so that this ends after few rounds however long the book is.
  for (std::size_t count = fuse.candidates; !results.full() && fusion.was_cut();) {
    check_interrupt();
    const bool widest = count >= kWidest;
    count = widest ? count : std::min(4 * count, kWidest);
    results.leave_out_used();
    if (results.take(fusion.search(count)) == 0 && widest) break;
  }
  answer.results = std::move(results).ranked();
  answer.missing = layers.missing;
  return answer;
}

std::vector<std::int64_t> memories_in(const Answer& answer) {
  std::vector<std::int64_t> ids;
  for (const Result& result : answer.results)
    if (result.passage.memory) ids.push_back(result.passage.memory->id);
  return ids;
}

Passage show(const tree::Tree& tree, const std::string& id) {
  const auto wanted = document::parse_chunk_id(id);
  const auto absent = [&] {
    return Error(Errc::not_found, fmt::format("no passage '{}'", id),
                 "its document may have been replaced or removed; ask again with 'reef-index query'");
  };
  if (document::holds_store(tree, wanted.scope)) {
    const auto scope = tree::opened_in_place(tree.vectors(wanted.scope),
                                             [&] { return std::make_shared<ScopeSearch>(tree, wanted.scope); });
    if (auto passage = make_document_layer(scope, "", false)->fetch(wanted.chunk)) return std::move(*passage);
  }
  tree::require_in_reach(tree, wanted.scope);  // it may be in a part that is not here
  throw absent();
}

}  // namespace reef::retrieve
