#include "reef/document/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/document/internal/part_check.h"
#include "reef/document/internal/schema.h"
#include "reef/document/internal/sources.h"
#include "reef/document/originals.h"
#include "reef/document/registry.h"
#include "reef/document/stores.h"
#include "reef/io/checksum.h"

namespace reef::document {
namespace {

namespace fs = std::filesystem;
using internal::kNextRun;
using internal::kRestore;

class ScopeCheck {
 public:
  /// `registry` is null when it is gone or damaged.
  ScopeCheck(const tree::Tree& tree, const tree::Scope& scope, Registry* registry, VerifyReport& report)
      : tree_(tree),
        scope_(scope),
        folder_(tree.vectors(scope)),
        name_(scope.name()),
        registry_(registry),
        report_(report) {}

  /// Whether there are documents whose files the registry has to know.
  bool found_ingested() const { return ingested_; }

  /// Returns whether every document's file is known, so that an original that nothing knows belongs to none.
  bool run(std::chrono::milliseconds wait, Progress& progress) {
    // Held to the end: what a run writes meanwhile would look like what a killed one left.
    const auto lock = io::LockFile::for_reading(folder_ / ".lock", wait);
    const auto missing = tree::missing_stores(tree_, scope_);
    for (const tree::MissingStore& store : missing)
      report_.faults.push_back({store.scope, io::shown(store.folder), store.what, store.hint, false});
    const auto parts = tree::parts_of(tree_, scope_);
    bool all_read = missing.empty();
    for (const tree::Part& part : parts) {
      if (parts.size() == 1 ? !missing.empty() : !tree::is_in_reach(part)) continue;
      folder_ = part.folder;
      name_ = tree::part_name(scope_, part);
      if (parts.size() == 1 && !has_metadata()) return true;
      auto database = internal::PartCheck(scope_, folder_, name_, report_).run(progress);
      all_read &= database.has_value();
      if (!database) continue;
      if (parts.size() > 1) check_place(*database, parts);
      auto ingested = database->prepare(internal::kIngestedSources);
      ingested_ |= ingested.step();
      databases_.push_back(*std::move(database));
    }
    name_ = scope_.name();
    if (tree::is_split(tree_, scope_)) check_part_list();
    check_parts_agree();
    const Originals originals(tree_, scope_);
    if (!databases_.empty()) check_staging(originals.staging());
    // What the registry says is of all parts together.
    return all_read && registry_ && check_registry(originals, progress);
  }

 private:
  /// Of a split scope: a document elsewhere than where it is looked for could be taken in twice.
  void check_place(io::Database& database, const std::vector<tree::Part>& parts) {
    std::uint64_t misplaced = 0;
    auto documents = database.prepare("SELECT name FROM documents");
    while (documents.step())
      if (parts[tree::part_of_document(parts, documents.text(0))].folder != folder_) ++misplaced;
    if (misplaced > 0)
      add("metadata.sqlite", fmt::format("{} documents belong to other parts", misplaced),
          "take the shards out of storage.shards, run 'reef-index shard apply', and split again");
  }

  void check_part_list() {
    try {
      tree::part_list(tree_);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      add("parts.json", error.what(), error.hint());
    }
  }

  void check_parts_agree() {
    if (databases_.size() < 2) return;
    std::optional<vector::StoreState> first;
    for (io::Database& database : databases_) {
      const auto state = vector::read_state(database);
      if (state.rows_total == 0) continue;
      if (first && !vector::are_of_one_model(*first, state))
        add("metadata.sqlite", fmt::format("parts hold vectors of {} and of {}", first->model, state.model), kRestore);
      if (!first) first = state;
    }
    std::vector<bool> seen;
    std::uint64_t twice = 0;
    for (io::Database& database : databases_) {
      auto chunks = database.prepare("SELECT id FROM chunks");
      while (chunks.step()) {
        const auto id = static_cast<std::size_t>(chunks.integer(0));
        if (id >= seen.size()) seen.resize(id + id / 2 + 1);
        if (seen[id]) ++twice;
        seen[id] = true;
      }
    }
    if (twice > 0) add("metadata.sqlite", fmt::format("{} chunks share an id with another", twice), kRestore);
  }

  void add(std::string file, std::string what, std::string next_step, bool mends_itself = false) {
    report_.faults.push_back({name_, std::move(file), std::move(what), std::move(next_step), mends_itself});
  }

  void check_staging(const fs::path& folder) {
    if (!internal::file_exists(folder)) return;
    for (const auto& entry : fs::directory_iterator(folder))
      add(io::shown(entry.path().filename()), "left by a run that was ended", kNextRun, true);
  }

  /// False when the scope has no store, which is a fault where files were ingested into it.
  bool has_metadata() {
    std::error_code absent;
    if (fs::file_size(folder_ / "metadata.sqlite", absent) > 0 && !absent) return true;
    const char* const state = absent ? "gone" : "empty";
    std::int64_t documents = 0;
    if (registry_)
      for (const Source& source : registry_->list(scope_)) documents += source.documents;
    if (documents > 0)
      add("metadata.sqlite", fmt::format("{}, and {} documents were ingested", state, documents), kRestore);
    else if (!absent || holds_files())
      add("metadata.sqlite", fmt::format("{}, and other files of a store are there", state), kRestore);
    return false;
  }

  bool holds_files() const {
    if (!internal::file_exists(folder_)) return false;
    const fs::directory_iterator entries(folder_);
    return std::any_of(begin(entries), end(entries),
                       [](const auto& entry) { return entry.path().filename().string()[0] != '.'; });
  }

  std::int64_t count_given(const std::string& source) {
    std::int64_t count = 0;
    for (io::Database& database : databases_) {
      auto given = database.prepare(internal::kCountGiven);
      given.bind(1, source).step();
      count += given.integer(0);
    }
    return count;
  }

  bool check_registry(const Originals& originals, Progress& progress) {
    std::set<std::string> known;
    for (const Source& source : registry_->list(scope_)) {
      check_interrupt();
      known.insert(source.path);
      if (source.state == SourceState::pending || source.state == SourceState::removing) {
        add("documents.sqlite",
            fmt::format("{} is {}: a run was ended in the middle of it", io::shown(source.path),
                        state_name(source.state)),
            kNextRun, true);
        continue;
      }
      if (source.state != SourceState::done) continue;
      if (const std::int64_t given = count_given(source.path); given != source.documents)
        add("documents.sqlite",
            fmt::format("{} gave {} documents, the store holds {}", io::shown(source.path), source.documents, given),
            "ingest that file again");
      check_original(source, originals);
      progress.advance(1);
    }
    bool all_known = true;
    std::set<std::string> held;
    for (io::Database& database : databases_) {
      auto sources = database.prepare(internal::kIngestedSources);
      while (sources.step()) held.emplace(sources.text(0));
    }
    for (const std::string& path : held) {
      if (known.contains(path)) continue;
      all_known = false;
      add("metadata.sqlite", fmt::format("documents of {}, which the registry does not know", io::shown(path)),
          "ingest that file again");
    }
    return all_known;
  }

  void check_original(const Source& source, const Originals& originals) {
    const fs::path raw = originals.raw_path(source.sha256, source.extension);
    const std::string again = fmt::format("ingest {} again after 'reef-index remove'", io::shown(source.path));
    try {
      if (io::to_hex(io::sha256_file(raw, [](std::uint64_t) { check_interrupt(); })) != source.sha256)
        add("raw/" + raw.filename().string(), "its content is not what its name says", again);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      add("raw/" + raw.filename().string(), error.what(), again);
    }
    if (!internal::file_exists(originals.processed_path(source.sha256, source.extension)))
      add("processed/" + source.sha256 + source.extension + ".jsonl", "missing", again);
  }

  const tree::Tree& tree_;
  const tree::Scope& scope_;
  fs::path folder_;   ///< of the part that is looked at
  std::string name_;  ///< of it
  std::vector<io::Database> databases_;
  Registry* registry_;
  VerifyReport& report_;
  bool ingested_ = false;
};

/// Files in raw/ and processed/ that no source of any scope needs. A run records its need before it makes a file and
/// removes a file before it forgets the need, so that one that is still there after the look belongs to none.
void check_unreferenced(const tree::Tree& tree, Registry& registry, VerifyReport& report) {
  for (const fs::path& folder : {tree.raw(), tree.processed()}) {
    if (!internal::file_exists(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      const fs::path original = folder == tree.processed() ? fs::path(name).stem() : fs::path(name);
      if (registry.references(original.stem().string(), original.extension().string()) > 0) continue;
      if (!internal::file_exists(entry.path())) continue;
      report.faults.push_back(
          {"all", folder.filename().string() + "/" + io::shown(name), "belongs to no document", "remove it", false});
    }
  }
}

void add_registry_fault(VerifyReport& report, std::string what) {
  report.faults.push_back(
      {"all", "documents.sqlite", std::move(what),
       "restore it from a backup; without one, remove what is left of it and ingest every file again", false});
}

}  // namespace

std::vector<tree::Scope> scopes_of(const tree::Tree& tree, const std::vector<std::string>& personas) {
  std::vector<tree::Scope> scopes{tree::Scope::shared()};
  for (const std::string& id : personas) scopes.push_back(tree::Scope::persona(id));
  // A persona that was taken out of personas.yaml keeps its documents.
  if (const auto registry = Registry::open_if_sound(tree.registry()))
    for (const tree::Scope& scope : registry->scopes())
      if (std::find(scopes.begin(), scopes.end(), scope) == scopes.end()) scopes.push_back(scope);
  return scopes;
}

VerifyReport verify(const tree::Tree& tree, const std::vector<tree::Scope>& scopes, std::chrono::milliseconds wait,
                    Progress& progress, bool with_faiss) {
  if (with_faiss) vector::require_faiss();
  VerifyReport report;
  report.with_faiss = with_faiss;
  std::string damage;
  auto registry = Registry::open_if_sound(tree.registry(), &damage);
  if (!damage.empty()) add_registry_fault(report, damage);
  if (registry) {
    if (const std::string broken = registry->database().integrity(); !broken.empty()) {
      add_registry_fault(report, "SQLite: " + broken);
      registry.reset();
    }
  }
  bool all_known = registry != nullptr, ingested = false;
  for (const tree::Scope& scope : scopes) {
    check_interrupt();
    ScopeCheck check(tree, scope, registry.get(), report);
    all_known &= check.run(wait, progress);
    ingested |= check.found_ingested();
  }
  if (ingested && !internal::file_exists(tree.registry()))
    add_registry_fault(report, "gone, and there are documents that were ingested");
  // Where the registry forgot a file, its original looks like one that nobody needs; so it would for a scope that was
  // not looked at.
  if (registry)
    for (const tree::Scope& scope : registry->scopes())
      all_known &= std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
  if (all_known) check_unreferenced(tree, *registry, report);
  return report;
}

}  // namespace reef::document
