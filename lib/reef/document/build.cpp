#include "reef/document/build.h"

#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/document/store.h"
#include "reef/tree/shards.h"

namespace reef::document {

BuildReport build(const tree::Tree& tree, const BuildOptions& options, Progress& progress) {
  const auto begin = std::chrono::steady_clock::now();
  BuildReport report;
  report.scope = options.scope.name();
  const auto folder = tree.vectors(options.scope);
  tree::require_in_reach(tree, options.scope);
  if (!Snapshot::exists(folder))
    throw Error(Errc::not_found, fmt::format("nothing was ingested for {} yet", report.scope), "see 'reef-index stat'");
  Store store(folder, options.scope, options.wait);
  store.remove_unfinished();
  vector::RebuildOptions rebuild{.threads = options.threads, .factory = options.factory};
  rebuild.recall = options.recall.value_or(rebuild.recall);
  const vector::Rebuilt rebuilt = store.rebuild(rebuild, progress);
  report.words_purged = store.purge_words();
  store.finish_run();
  report.index = vector::index_kind(rebuilt.state);
  report.factory = rebuilt.state.index_factory;
  report.asked_recall = rebuild.recall;
  report.codes_lose = rebuilt.codes_lose;
  report.generation = rebuilt.state.generation;
  report.rows = rebuilt.state.rows_indexed;
  report.removed = rebuilt.removed;
  report.recall = rebuilt.recall;
  if (!rebuilt.state.index_file.empty()) report.bytes = std::filesystem::file_size(folder / rebuilt.state.index_file);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

}  // namespace reef::document
