#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "reef/core/error.h"
#include "reef/document/ingest.h"
#include "reef/document/internal/sources.h"
#include "reef/document/stores.h"
#include "reef/tree/parts.h"

namespace reef::document {
namespace {

/// The file that an operand names, if it names one: as given, or made absolute.
std::optional<Source> source_named(Registry& registry, const tree::Scope& scope, const std::string& name) {
  if (auto source = registry.find(scope, name)) return source;
  return registry.find(scope, std::filesystem::absolute(name).lexically_normal().string());
}

/// Each name once, in the order given.
std::vector<std::string> distinct(const std::vector<std::string>& names) {
  std::set<std::string> seen;
  std::vector<std::string> result;
  std::copy_if(names.begin(), names.end(), std::back_inserter(result),
               [&](const std::string& name) { return seen.insert(name).second; });
  return result;
}

/// One document of a file that holds many: the file stays known, and ingesting it again does not bring the document
/// back unless its text changed. The last one takes the file along.
void remove_one(Stores& store, Registry& registry, Originals& originals, const DocumentRow& document) {
  if (internal::is_given(document.source)) return store.remove_document(document);
  auto source = registry.find(store.scope(), document.source);
  if (source && store.is_alone(document)) {
    internal::remove_source(store, registry, originals, *source);
    return;
  }
  store.remove_for_good(document);
}

/// All documents whose texts came from that file, beside vectors made elsewhere; of each part at once. Returns their
/// names.
std::vector<std::string> remove_given(Stores& stores, const std::string& texts) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < stores.size(); ++i) {
    Store& store = stores[i];
    io::Transaction transaction(store.database());
    for (const DocumentRow& document : store.of_source(internal::given_source(texts))) {
      store.remove_document(document.id);
      names.push_back(document.name);
    }
    transaction.commit();
  }
  return names;
}

/// What remove() would do, by reading alone.
void plan(const tree::Tree& tree, const RemoveOptions& options, RemoveReport& report) {
  std::vector<io::Database> parts;
  for (const tree::Part& part : tree::parts_of(tree, options.scope)) {
    parts.emplace_back(part.folder / "metadata.sqlite", io::OpenMode::read);
    io::require_version(parts.back(), Store::kVersion);
  }
  std::optional<Registry> registry;
  if (internal::file_exists(tree.registry())) registry.emplace(tree.registry());
  const char* const by_name = "SELECT name FROM documents WHERE finished AND name = ?";
  const char* const by_source = "SELECT name FROM documents WHERE finished AND source = ? ORDER BY id";
  std::set<std::string> planned;
  const auto take_all = [&](const char* sql, const std::string& name) {
    std::size_t found = 0;
    for (io::Database& part : parts) {
      auto statement = part.prepare(sql);
      for (statement.bind(1, name); statement.step(); ++found)
        if (planned.emplace(statement.text(0)).second) report.removed.emplace_back(statement.text(0));
    }
    return found > 0;
  };
  for (const std::string& name : distinct(options.documents)) {
    if (take_all(by_name, name)) continue;
    const bool given = take_all(by_source, internal::given_source(name));
    const auto source = registry ? source_named(*registry, options.scope, name) : std::nullopt;
    if (source)
      take_all(by_source, source->path);
    else if (!given)
      report.not_found.push_back(name);
  }
}

}  // namespace

RemoveReport remove(const tree::Tree& tree, const RemoveOptions& options, Progress& progress) {
  RemoveReport report;
  report.scope = options.scope.name();
  report.dry_run = options.dry_run;
  tree::require_in_reach(tree, options.scope);
  if (!holds_store(tree, options.scope))
    throw Error(Errc::not_found, fmt::format("nothing was ingested for {} yet", report.scope), "see 'reef-index stat'");
  if (options.dry_run) {
    plan(tree, options, report);
    return report;
  }
  Stores store(tree, options.scope, options.wait);
  Originals originals(tree, options.scope);
  originals.prepare();
  Registry registry(tree.registry(), originals.staging() / "registry");
  for (Source& source : registry.unfinished(options.scope))
    if (source.state == SourceState::removing) internal::remove_source(store, registry, originals, source);
  for (const std::string& name : distinct(options.documents)) {
    if (const auto document = store.find(name)) {
      remove_one(store, registry, originals, *document);
      report.removed.push_back(document->name);
    } else {
      auto names = remove_given(store, name);
      auto source = source_named(registry, options.scope, name);
      if (!source && names.empty()) report.not_found.push_back(name);
      report.removed.insert(report.removed.end(), names.begin(), names.end());
      if (!source) continue;
      names = internal::remove_source(store, registry, originals, *source);
      report.removed.insert(report.removed.end(), names.begin(), names.end());
    }
  }
  store.finish_run();
  originals.clean_up();
  report.rebuilt = internal::rebuild_if_due(store, options.threads, progress);
  return report;
}

}  // namespace reef::document
