#include "reef/document/reembed.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/document/embedding_cache.h"
#include "reef/document/internal/cached_embedding.h"
#include "reef/document/stores.h"
#include "reef/text/chunk.h"

namespace reef::document {
namespace {

/// What a run that is killed can lose.
constexpr std::size_t kBatch = 256;

/// Passages of all vectors that are alive, ascending by row.
class Passages {
 public:
  explicit Passages(Store& store)
      : rows_(store.database().prepare(
            "SELECT c.vector_row, d.title, c.heading_path, c.text FROM chunks c JOIN documents d ON d.id = c.document "
            "WHERE c.vector_row IS NOT NULL ORDER BY c.vector_row")) {}

  /// The next ones; false when there are none.
  bool next() {
    texts.clear();
    while (!ended_ && texts.size() < kBatch) {
      ended_ = !rows_.step();  // stepped once more, it would begin again
      if (ended_) break;
      kept.push_back(static_cast<std::uint64_t>(rows_.integer(0)));
      texts.push_back(text::passage_text(rows_.text(1), rows_.text(2), rows_.text(3)));
    }
    return !texts.empty();
  }

  std::vector<std::string> texts;
  std::vector<std::uint64_t> kept;  ///< old rows of all passages so far

 private:
  io::Statement rows_;
  bool ended_ = false;
};

class Reembed {
 public:
  Reembed(Store& store, embed::Embedder& embedder, EmbeddingCache& cache, const ReembedOptions& options,
          ReembedReport& report, Progress& progress)
      : store_(store), embedder_(embedder), cache_(cache), options_(options), report_(report), progress_(progress) {}

  void run() {
    const auto identity = embedder_.identity();
    const std::uint64_t before = store_.vectors().state().rows_total;
    report_.asked_recall = store_.vectors().state().index_recall;
    auto count = store_.database().prepare("SELECT count(*) FROM chunks WHERE vector_row IS NOT NULL");
    count.step();
    progress_.begin("embedding", static_cast<std::uint64_t>(count.integer(0)), ProgressUnit::items);
    store_.vectors().begin_again(identity.name, identity.digest, identity.dim);
    std::vector<std::uint64_t> kept;
    {
      Passages passages(store_);
      while (passages.next()) {
        check_interrupt();
        store_.vectors().append(vectors_of(passages));
      }
      kept = std::move(passages.kept);
    }
    progress_.end();
    report_.chunks = kept.size();
    report_.removed = before - kept.size();
    const vector::Rebuilt rebuilt =
        store_.take_over(kept, {.threads = options_.threads, .recall = report_.asked_recall}, progress_);
    report_.recall = rebuilt.recall;
    if (!rebuilt.codes_lose.empty()) log_warn("{}: {}", report_.scope, rebuilt.codes_lose);
  }

 private:
  std::vector<float> vectors_of(const Passages& passages) {
    for (const std::string& text : passages.texts)
      if (embedder_.count_tokens(text) > embedder_.passage_tokens()) ++report_.cut;
    auto embedded = internal::embed_passages(embedder_, cache_, passages.texts, options_.threads, progress_);
    report_.embedded += embedded.computed;
    return std::move(embedded.vectors);
  }

  Store& store_;
  embed::Embedder& embedder_;
  EmbeddingCache& cache_;
  const ReembedOptions& options_;
  ReembedReport& report_;
  Progress& progress_;
};

}  // namespace

std::optional<ReembedReport> reembed(const tree::Tree& tree, const ReembedOptions& options, embed::Embedder& embedder,
                                     Progress& progress) {
  const auto begin = std::chrono::steady_clock::now();
  ReembedReport report;
  report.scope = options.scope.name();
  if (!holds_store(tree, options.scope))
    throw Error(Errc::not_found, fmt::format("nothing was ingested for {} yet", report.scope), "see 'reef-index stat'");
  const auto identity = embedder.identity();
  Stores stores(tree, options.scope, options.wait);
  stores.require_whole("'build --embedding' replaces all vectors at once");
  Store& store = stores[0];
  store.remove_unfinished();
  const auto& state = store.vectors().state();
  if (state.rows_total == 0 || state.model_digest == identity.digest) return std::nullopt;
  report.previous = state.model;
  report.model = identity.name;
  report.dim = identity.dim;
  EmbeddingCache cache(tree.embedding_cache(), identity.digest, identity.dim);
  try {
    Reembed(store, embedder, cache, options, report, progress).run();
  } catch (...) {
    store.vectors().abandon();
    throw;
  }
  store.finish_run();
  cache.trim(options.cache_cap_bytes);
  report.generation = store.vectors().state().generation;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

}  // namespace reef::document
