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

/// One document of a file that holds many: the file stays known, and ingesting it again does not bring the document
/// back unless its text changed. The last one takes the file along.
void remove_one(Store& store, Registry& registry, Originals& originals, const DocumentRow& document) {
  auto source = registry.find(store.scope(), document.source);
  if (source && store.of_source(document.source).size() == 1) {
    internal::remove_source(store, registry, originals, *source);
    return;
  }
  io::Transaction transaction(store.database());
  store.remove_for_good(document);
  transaction.commit();
}

/// Ids of documents that `name` stands for, by reading alone; empty: none.
std::vector<std::string> documents_named(io::Database& metadata, const std::string& name) {
  auto statement = metadata.prepare(
      "SELECT name FROM documents WHERE finished AND name = ?1 UNION ALL "
      "SELECT name FROM documents WHERE finished AND source IN (?1, ?2) AND NOT EXISTS "
      "(SELECT 1 FROM documents WHERE finished AND name = ?1)");
  statement.bind(1, name).bind(2, std::filesystem::absolute(name).lexically_normal().string());
  std::vector<std::string> names;
  while (statement.step()) names.emplace_back(statement.text(0));
  return names;
}

void plan(const std::filesystem::path& folder, const RemoveOptions& options, RemoveReport& report) {
  io::Database metadata(folder / "metadata.sqlite", io::OpenMode::read);
  io::require_version(metadata, Store::kVersion);
  std::set<std::string> planned;
  for (const std::string& name : options.documents) {
    const auto found = documents_named(metadata, name);
    if (found.empty()) report.not_found.push_back(name);
    for (const std::string& document : found)
      if (planned.insert(document).second) report.removed.push_back(document);
  }
}

}  // namespace

RemoveReport remove(const tree::Tree& tree, const RemoveOptions& options) {
  RemoveReport report;
  report.scope = options.scope.name();
  report.dry_run = options.dry_run;
  const auto folder = tree.vectors(options.scope);
  if (!Snapshot::exists(folder))
    throw Error(Errc::not_found, fmt::format("nothing was ingested for {} yet", report.scope), "see 'reef-index stat'");
  if (options.dry_run) {
    plan(folder, options, report);
    return report;
  }
  Store store(folder, options.scope, options.wait);
  Originals originals(tree, options.scope);
  originals.prepare();
  Registry registry(tree.registry(), originals.staging() / "registry");
  for (Source& source : registry.unfinished(options.scope))
    if (source.state == SourceState::removing) internal::remove_source(store, registry, originals, source);
  std::set<std::string> named;
  for (const std::string& name : options.documents) {
    if (!named.insert(name).second) continue;
    if (const auto document = store.find(name)) {
      remove_one(store, registry, originals, *document);
      report.removed.push_back(document->name);
    } else if (auto source = source_named(registry, options.scope, name)) {
      const auto names = internal::remove_source(store, registry, originals, *source);
      report.removed.insert(report.removed.end(), names.begin(), names.end());
    } else {
      report.not_found.push_back(name);
    }
  }
  store.finish_run();
  originals.clean_up();
  return report;
}

}  // namespace reef::document
