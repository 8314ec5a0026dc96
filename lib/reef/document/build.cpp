#include "reef/document/build.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/document/stores.h"
#include "reef/tree/parts.h"

namespace reef::document {

BuildReport build(const tree::Tree& tree, const BuildOptions& options, Progress& progress) {
  const auto begin = std::chrono::steady_clock::now();
  BuildReport report;
  report.scope = options.scope.name();
  tree::require_in_reach(tree, options.scope);
  if (!holds_store(tree, options.scope))
    throw Error(Errc::not_found, fmt::format("nothing was ingested for {} yet", report.scope), "see 'reef-index stat'");
  Stores stores(tree, options.scope, options.wait);
  if (!options.factory.empty()) stores.require_whole("--factory makes one index of all vectors");
  stores.remove_unfinished();
  vector::RebuildOptions rebuild{.threads = options.threads, .factory = options.factory};
  rebuild.recall = options.recall.value_or(rebuild.recall);
  report.asked_recall = rebuild.recall;
  for (std::size_t i = 0; i < stores.size(); ++i) {
    Store& store = stores[i];
    const vector::Rebuilt rebuilt = store.rebuild(rebuild, progress);
    report.words_purged &= store.purge_words();
    store.finish_run();
    if (report.index == vector::IndexKind::none) report.index = vector::index_kind(rebuilt.state);
    if (report.factory.empty()) report.factory = rebuilt.state.index_factory;
    if (report.codes_lose.empty()) report.codes_lose = rebuilt.codes_lose;
    report.generation = std::max(report.generation, rebuilt.state.generation);
    report.rows += rebuilt.state.rows_indexed;
    report.removed += rebuilt.removed;
    if (rebuilt.recall && (!report.recall || rebuilt.recall->graph < report.recall->graph))
      report.recall = rebuilt.recall;
    if (!rebuilt.state.index_file.empty())
      report.bytes += std::filesystem::file_size(store.folder() / rebuilt.state.index_file);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

}  // namespace reef::document
