#include "reef/document/given_vectors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_set>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/time.h"
#include "reef/document/internal/given_rows.h"
#include "reef/document/internal/schema.h"
#include "reef/document/internal/sources.h"
#include "reef/document/stores.h"
#include "reef/io/file.h"
#include "reef/vector/foreign_npy.h"

namespace reef::document {
namespace {

using internal::GivenRow;
using internal::GivenRows;

/// What is in memory at once; an append costs four fsyncs whatever it holds.
constexpr std::uint64_t kBatchRows = 4096;
constexpr std::uint64_t kBatchBytes = 16 << 20;

/// The two files of a run, known to have as many rows.
struct Given {
  explicit Given(const GivenOptions& options) : vectors(options.vectors), texts(options.metadata) {
    const std::uint64_t lines = texts.count();
    if (lines == vectors.rows()) return;
    throw Error(Errc::failed,
                fmt::format("{} holds {} vectors, {} describes {}", io::shown(vectors.path()), vectors.rows(),
                            io::shown(texts.path()), lines),
                "line i describes row i: give both files as many; nothing was changed");
  }
  /// The next rows; none at the end.
  void next_batch() {
    rows.clear();
    std::uint64_t bytes = 0;
    while (rows.size() < kBatchRows && bytes < kBatchBytes) {
      rows.emplace_back();
      if (!texts.next(rows.back())) {
        rows.pop_back();
        break;
      }
      bytes += rows.back().text.size() + vectors.dim() * sizeof(float);
    }
    if (first + rows.size() > vectors.rows() || (rows.empty() && first < vectors.rows()))
      throw Error(Errc::failed, fmt::format("{} changed while it was read", io::shown(texts.path())),
                  "run the command again; nothing was changed");
    values.resize(rows.size() * vectors.dim());
    vectors.read(first, rows.size(), values);
    first += rows.size();
  }
  std::span<const float> vector(std::size_t i) const {
    return std::span(values).subspan(i * vectors.dim(), vectors.dim());
  }

  vector::ForeignNpy vectors;
  GivenRows texts;
  std::uint64_t first = 0;
  std::vector<GivenRow> rows;
  std::vector<float> values;
};

/// What the store holds under an id.
struct Held {
  std::int64_t document = 0;
  std::string sha256;
  std::string source;
  std::optional<std::uint64_t> vector_row;
};

class Documents {
 public:
  explicit Documents(Store& store)
      : store_(store),
        find_(store.database().prepare(
            "SELECT d.id, d.sha256, d.source, c.vector_row FROM documents d LEFT JOIN chunks c ON c.document = d.id "
            "WHERE d.name = ? AND d.finished LIMIT 1")) {}

  std::optional<Held> find(const std::string& name) {
    std::optional<Held> held;
    if (find_.bind(1, name).step()) {
      held = {find_.integer(0), std::string(find_.text(1)), std::string(find_.text(2)), std::nullopt};
      if (!find_.is_null(3)) held->vector_row = static_cast<std::uint64_t>(find_.integer(3));
    }
    find_.reset();
    return held;
  }

  bool is_same(const Held& held, const GivenRow& row, std::span<const float> vector) {
    if (!held.vector_row || held.sha256 != row.digest()) return false;
    const auto& state = store_.vectors().state();
    if (!vectors_) vectors_.emplace(store_.folder() / state.vectors_file, state.rows_total);
    const auto present = vectors_->row(*held.vector_row);
    return std::memcmp(present.data(), vector.data(), vector.size_bytes()) == 0;
  }

 private:
  Store& store_;
  io::Statement find_;
  std::optional<vector::NpyMatrix> vectors_;  ///< opened at the first comparison
};

/// Takes all rows into the parts of a scope; within the caller's transactions.
class Intake {
 public:
  Intake(Stores& stores, Given& given, GivenReport& report, Progress& progress)
      : stores_(stores), given_(given), report_(report), progress_(progress), parts_(stores.size()) {
    for (std::size_t i = 0; i < stores.size(); ++i) parts_[i].documents.emplace(stores[i]);
  }

  void run() {
    progress_.begin("adding vectors", given_.vectors.rows(), ProgressUnit::items);
    for (given_.next_batch(); !given_.rows.empty(); given_.next_batch()) {
      check_interrupt();
      choose();
      write();
      progress_.advance(given_.rows.size());
    }
    for (std::size_t i = 0; i < stores_.size(); ++i)
      if (parts_[i].changed) stores_[i].vectors().commit();
    report_.stretched = given_.vectors.stretched();
    progress_.end();
  }

 private:
  struct Part {
    std::optional<Documents> documents;
    std::vector<WholeDocument> chosen;
    std::vector<float> values;  ///< of the chosen
    std::vector<bool> seen;     ///< documents that this run added or left as they are: one bit each
    bool changed = false;

    bool was_seen(std::int64_t document) const {
      return static_cast<std::size_t>(document) < seen.size() && seen[static_cast<std::size_t>(document)];
    }
    void mark_seen(std::int64_t document) {
      const auto index = static_cast<std::size_t>(document);
      if (index >= seen.size()) seen.resize(index + index / 2 + 1);
      seen[index] = true;
    }
  };

  /// Those of the batch that are new or changed.
  void choose() {
    names_.clear();
    for (std::size_t i = 0; i < given_.rows.size(); ++i) {
      GivenRow& row = given_.rows[i];
      Part& part = parts_[stores_.index_of(row.id)];
      const auto held = part.documents->find(row.id);
      if ((held && part.was_seen(held->document)) || !names_.insert(row.id).second)
        refuse(row, fmt::format("id '{}' comes a second time", row.id), "an id names one document");
      if (held && !internal::is_given(held->source))
        refuse(row, fmt::format("id '{}' is a document of {}", row.id, io::shown(held->source)),
               "remove that one first ('reef-index remove'), or give the row another id");
      if (!row.unread_date.empty()) ++report_.undated;
      if (held && part.documents->is_same(*held, row, given_.vector(i))) {
        ++report_.unchanged;
        part.mark_seen(held->document);
        continue;
      }
      ++(held ? report_.replaced : report_.added);
      const auto vector = given_.vector(i);
      part.values.insert(part.values.end(), vector.begin(), vector.end());
      part.chosen.push_back(document_of(row, held));
    }
  }

  WholeDocument document_of(GivenRow& row, const std::optional<Held>& held) const {
    WholeDocument document;
    document.row.name = row.id;
    document.row.source = source_;
    document.row.sha256 = row.digest();
    document.row.title = std::move(row.title);
    document.row.format = "vectors";
    document.row.created = std::move(row.created);
    document.row.added = now_;
    document.row.tags = std::move(row.tags);
    document.text = std::move(row.text);
    if (held) document.replaces = held->document;
    return document;
  }

  void write() {
    for (std::size_t i = 0; i < stores_.size(); ++i) {
      Part& part = parts_[i];
      if (part.chosen.empty()) continue;
      std::uint64_t row = stores_[i].vectors().append(part.values);
      for (WholeDocument& document : part.chosen) document.vector_row = row++;
      stores_.begin_numbers(i);
      for (const std::int64_t id : stores_[i].add_whole(part.chosen)) part.mark_seen(id);
      stores_.end_numbers(i);
      part.changed = true;
      part.chosen.clear();
      part.values.clear();
    }
  }

  [[noreturn]] void refuse(const GivenRow& row, const std::string& why, const std::string& hint) const {
    throw Error(Errc::failed, fmt::format("{}:{}: {}", io::shown(given_.texts.path()), row.line, why),
                hint + "; nothing was changed");
  }

  Stores& stores_;
  Given& given_;
  GivenReport& report_;
  Progress& progress_;
  std::vector<Part> parts_;
  std::string source_ = internal::given_source(given_.texts.path());
  std::string now_ = to_rfc3339(now());
  std::unordered_set<std::string> names_;  ///< of the batch
};

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
  Documents documents(store);
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
  Intake(stores, given, report, progress).run();
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
    Intake(stores, given, report, progress).run();
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
