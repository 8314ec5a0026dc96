#include "reef/document/given_vectors.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <unordered_set>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/document/internal/given_intake.h"
#include "reef/document/internal/schema.h"
#include "reef/document/internal/sources.h"
#include "reef/document/stores.h"
#include "reef/io/file.h"

namespace reef::document {
namespace {

using internal::Given;
using internal::GivenDocuments;
using internal::GivenIntake;

/// The model that vectors of a store without any are said to be of.
embed::Identity named_model(const GivenOptions& options, const vector::ForeignNpy& vectors,
                            const FindEmbedding& find_embedding) {
  const std::size_t dim = vectors.dim();
  const auto known = find_embedding(options.embedding);
  if (known && known->dim == dim) return *known;
  if (!known && !options.embedding.empty()) return {options.embedding, "", dim};
  const std::string shown = io::shown(vectors.path());
  if (!options.embedding.empty())
    throw Error(
        Errc::usage,
        fmt::format("{} holds vectors of {} dimensions, {} makes {}", shown, dim, options.embedding, known->dim),
        "name the model that made them");
  throw Error(Errc::usage,
              known ? fmt::format("{} holds vectors of {} dimensions, default_embedding ({}) makes {}", shown, dim,
                                  known->name, known->dim)
                    : fmt::format("nothing tells which model made {}: default_embedding is not installed", shown),
              "name the model with --embedding; a question is embedded with the model of that name");
}

/// For a store that holds vectors: they must be of its model.
embed::Identity model_of(const vector::StoreState& state, const std::string& scope, const GivenOptions& options,
                         const vector::ForeignNpy& vectors) {
  if (!options.embedding.empty() && options.embedding != state.model)
    throw Error(Errc::usage,
                fmt::format("{} holds vectors of {}, --embedding names {}", scope, state.model, options.embedding),
                "vectors of two models cannot be compared: name the store's, or use another persona's scope");
  if (vectors.dim() != state.dim)
    throw Error(Errc::usage,
                fmt::format("{} holds vectors of {} dimensions, {} has {} of {}", io::shown(vectors.path()),
                            vectors.dim(), scope, state.dim, state.model),
                fmt::format("make them with {}, or use another persona's scope", state.model));
  return {state.model, state.model_digest, state.dim};
}

GivenReport report_of(const GivenOptions& options, const Given& given, const embed::Identity& model) {
  GivenReport report;
  report.scope = options.scope.name();
  report.vectors = options.vectors.string();
  report.rows = given.vectors.rows();
  report.model = model.name;
  report.dim = model.dim;
  return report;
}

void finish(Stores& stores, GivenReport& report, std::chrono::steady_clock::time_point begin) {
  report.generation = stores.state().generation;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Whether the store holds just these documents.
bool holds_just(Store& store, const GivenOptions& options, const embed::Identity& model, Progress& progress) {
  const auto& state = store.vectors().state();
  if (state.model != model.name || state.model_digest != model.digest || state.dim != model.dim) return false;
  auto count = store.database().prepare("SELECT count(*) FROM documents");
  count.step();
  Given given(options);
  if (static_cast<std::uint64_t>(count.integer(0)) != given.vectors.rows()) return false;
  progress.begin("comparing", given.vectors.rows(), ProgressUnit::items);
  GivenDocuments documents(store);
  std::unordered_set<std::int64_t> seen;
  for (given.next_batch(); !given.rows.empty(); given.next_batch()) {
    check_interrupt();
    for (std::size_t i = 0; i < given.rows.size(); ++i) {
      const auto held = documents.find(given.rows[i].id);
      if (!held || !seen.insert(held->document).second || !documents.is_same(*held, given.rows[i], given.vector(i)))
        return false;
    }
    progress.advance(given.rows.size());
  }
  progress.end();
  return true;
}

void require_no_ingested(Store& store) {
  auto ingested = store.database().prepare(internal::kIngestedSources);
  if (!ingested.step()) return;
  throw Error(Errc::usage,
              fmt::format("{} holds documents that were ingested, of {}", store.scope().name(),
                          io::shown(std::string(ingested.text(0)))),
              "'build --vectors' replaces all that a scope holds: remove them first ('reef-index remove'), add the "
              "vectors to them ('reef-index add'), or use another persona's scope");
}

/// Old content out, new content and its graph in.
void replace_all(Stores& stores, Given& given, const embed::Identity& model, const GivenOptions& options,
                 GivenReport& report, Progress& progress) {
  Store& store = stores[0];
  auto held = store.database().prepare("SELECT count(*) FROM documents");
  held.step();
  const auto before = static_cast<std::uint64_t>(held.integer(0));
  held.reset();
  io::Transaction transaction(store.database());
  store.clear();
  store.vectors().begin_again(model.name, model.digest, model.dim);
  GivenIntake(stores, given, report, progress).run();
  const auto rebuilt = vector::rebuild(store.vectors(), {.threads = options.threads}, progress);
  store.vectors().adopt(rebuilt.state);
  transaction.commit();
  report.removed = before;
  report.recall = rebuilt.recall;
  report.rebuilt = true;
  if (!rebuilt.codes_lose.empty()) log_warn("{}: {}", report.scope, rebuilt.codes_lose);
}

}  // namespace

GivenReport add_vectors(const tree::Tree& tree, const GivenOptions& options, const FindEmbedding& find_embedding,
                        Progress& progress) {
  const auto begin = std::chrono::steady_clock::now();
  Given given(options);
  // Before a store is made: what is refused must leave nothing behind.
  std::optional<embed::Identity> first;
  if (!holds_store(tree, options.scope)) first = named_model(options, given.vectors, find_embedding);
  Stores stores(tree, options.scope, options.wait);
  stores.remove_unfinished();
  const auto& state = stores.state();
  if (state.rows_total == 0 && !first) first = named_model(options, given.vectors, find_embedding);
  const auto model = state.rows_total > 0 ? model_of(state, options.scope.name(), options, given.vectors) : *first;
  GivenReport report = report_of(options, given, model);
  stores.use_model(model.name, model.digest, model.dim);
  // Of several parts one commit follows another. Ended in between, the next run leaves what is there and adds the rest.
  try {
    std::vector<std::unique_ptr<io::Transaction>> transactions;
    for (std::size_t i = 0; i < stores.size(); ++i)
      transactions.push_back(std::make_unique<io::Transaction>(stores[i].database()));
    GivenIntake(stores, given, report, progress).run();
    for (const auto& transaction : transactions) transaction->commit();
  } catch (...) {
    for (std::size_t i = 0; i < stores.size(); ++i) stores[i].vectors().abandon();
    throw;
  }
  stores.finish_run(true);
  report.rebuilt = internal::rebuild_if_due(stores, options.threads, progress);
  finish(stores, report, begin);
  return report;
}

GivenReport build_from_vectors(const tree::Tree& tree, const GivenOptions& options, const FindEmbedding& find_embedding,
                               Progress& progress) {
  const auto begin = std::chrono::steady_clock::now();
  Given given(options);
  if (given.vectors.rows() == 0)
    throw Error(Errc::usage, fmt::format("{} holds no vectors", io::shown(options.vectors)),
                "'build --vectors' puts them in the place of all that a scope holds; to empty it, use "
                "'reef-index remove'");
  std::optional<embed::Identity> first;
  if (!holds_store(tree, options.scope)) first = named_model(options, given.vectors, find_embedding);
  Stores stores(tree, options.scope, options.wait);
  stores.require_whole("'build --vectors' replaces all at once");
  Store& store = stores[0];
  store.remove_unfinished();
  require_no_ingested(store);
  const auto& state = store.vectors().state();
  const bool same_model = state.rows_total > 0 && state.dim == given.vectors.dim() &&
                          (options.embedding.empty() || options.embedding == state.model);
  if (!same_model && !first) first = named_model(options, given.vectors, find_embedding);
  const embed::Identity model = same_model ? embed::Identity{state.model, state.model_digest, state.dim} : *first;
  GivenReport report = report_of(options, given, model);
  report.replaced_all = true;
  if (holds_just(store, options, model, progress)) {
    report.unchanged = report.rows;
    auto dead = store.database().prepare("SELECT count(*) FROM dead_rows");
    dead.step();
    if (state.rows_indexed < state.rows_total || dead.integer(0) > 0) {
      report.recall = store.rebuild({.threads = options.threads}, progress).recall;
      report.rebuilt = true;
    }
  } else {
    try {
      replace_all(stores, given, model, options, report, progress);
    } catch (...) {
      store.vectors().abandon();
      throw;
    }
    store.vectors().publish();
    store.vectors().remove_unnamed();
  }
  store.finish_run();
  finish(stores, report, begin);
  return report;
}

}  // namespace reef::document
