#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "reef/core/error.h"
#include "reef/document/ingest.h"
#include "reef/document/internal/sources.h"

namespace reef::document {
namespace {

/// The file that an operand names, if it names one: as given, or made absolute.
std::optional<Source> source_named(Registry& registry, const tree::Scope& scope, const std::string& name) {
  if (auto source = registry.find(scope, name)) return source;
  return registry.find(scope, std::filesystem::absolute(name).lexically_normal().string());
}

/// One document of a file that holds many: the file stays known, so that ingesting it again
/// unchanged does not bring the document back.
void remove_one(Store& store, Registry& registry, Originals& originals, const DocumentRow& document) {
  auto source = registry.find(store.scope(), document.source);
  const auto siblings = store.of_source(document.source);
  if (source && siblings.size() == 1) {
    internal::remove_source(store, registry, originals, *source);
    return;
  }
  io::Transaction transaction(store.database());
  store.remove_document(document.id);
  transaction.commit();
  if (!source) return;
  source->documents = static_cast<std::int64_t>(siblings.size()) - 1;
  registry.save(*source);
}

}  // namespace

RemoveReport remove(const tree::Tree& tree, const RemoveOptions& options) {
  RemoveReport report;
  report.scope = options.scope.name();
  report.dry_run = options.dry_run;
  const auto folder = tree.vectors(options.scope);
  if (!Snapshot::exists(folder))
    throw Error(Errc::not_found, fmt::format("nothing was ingested for {} yet", report.scope), "see 'reef-index stat'");
  Store store(folder, options.scope, options.wait);
  Originals originals(tree, options.scope);
  originals.prepare();
  Registry registry(tree.registry(), originals.staging() / "registry");
  if (!options.dry_run)
    for (Source& source : registry.unfinished(options.scope))
      if (source.state == SourceState::removing) internal::remove_source(store, registry, originals, source);
  std::set<std::string> named;
  for (const std::string& name : options.documents) {
    if (!named.insert(name).second) continue;
    if (const auto document = store.find(name)) {
      if (!options.dry_run) remove_one(store, registry, originals, *document);
      report.removed.push_back(document->name);
      continue;
    }
    auto source = source_named(registry, options.scope, name);
    if (!source) {
      report.not_found.push_back(name);
      continue;
    }
    std::vector<std::string> names;
    if (options.dry_run)
      for (const DocumentRow& document : store.of_source(source->path)) names.push_back(document.name);
    else
      names = internal::remove_source(store, registry, originals, *source);
    report.removed.insert(report.removed.end(), names.begin(), names.end());
  }
  if (!options.dry_run) store.finish_run();
  originals.clean_up();
  return report;
}

}  // namespace reef::document
