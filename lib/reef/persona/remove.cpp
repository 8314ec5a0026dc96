#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/time.h"
#include "reef/core/units.h"
#include "reef/document/embedding_cache.h"
#include "reef/document/originals.h"
#include "reef/document/registry.h"
#include "reef/memory/schema.h"
#include "reef/persona/change.h"
#include "reef/persona/internal/folders.h"
#include "reef/persona/internal/steps.h"
#include "reef/persona/survey.h"
#include "reef/session/delete.h"
#include "reef/session/schema.h"
#include "reef/session/store.h"
#include "reef/tree/parts.h"
#include "reef/tree/persona.h"
#include "reef/tree/persona_edit.h"

namespace reef::persona {
namespace internal {
namespace {

constexpr std::chrono::seconds kPatience{5};  ///< for who reads the databases

bool remove_conversations(const tree::Tree& tree, const std::string& persona, std::chrono::milliseconds wait,
                          Progress& progress) {
  if (!is_there(session::conversations_file(tree))) return true;
  session::Store store(tree);
  session::DeleteOptions options;
  options.wait = wait;
  for (const auto& row : session::list_sessions(store.database(), persona)) options.sessions.push_back(row.id);
  if (!options.sessions.empty())
    for (const auto& session : session::delete_sessions(tree, options, progress).sessions)
      if (session.failure) throw Error(*session.failure);
  if (const std::int64_t number = session::persona_number(store.database(), persona); number != 0) {
    io::Transaction transaction(store.database());
    for (const char* sql :
         {"DELETE FROM pending_messages WHERE persona = ?", "DELETE FROM removed_messages WHERE persona = ?",
          "DELETE FROM persona_numbers WHERE number = ?"})
      store.database().prepare(sql).bind(1, number).run();
    transaction.commit();
  }
  try {
    return store.purge_words(kPatience, true) == session::Purged::wholly;
  } catch (const Error& error) {  // no space to write the database anew, or somebody who keeps it: the rows are gone
    if (error.code() == Errc::interrupted || error.code() == Errc::corrupt) throw;
    return false;
  }
}

/// The original first: what a killed run leaves is a row, which the next one finds.
bool remove_documents(const tree::Tree& tree, const std::string& persona) {
  if (!is_there(tree.registry())) return true;
  const auto scope = tree::Scope::persona(persona);
  document::Originals originals(tree, scope);
  document::Registry registry(tree.registry(), originals.staging());
  for (const document::Source& source : registry.list(scope)) {
    check_interrupt();
    for (const std::string& digest : {source.sha256, source.next_sha256})
      if (!digest.empty() && registry.references(digest, source.extension) <= 1)
        originals.remove(digest, source.extension);
    registry.erase(source.id);
  }
  io::sync_directory(tree.raw());
  io::sync_directory(tree.processed());
  originals.clean_up();
  return registry.database().empty_log(kPatience);
}

/// Vectors of what it remembered leave the cache of embeddings.
void forget_memories(const tree::Tree& tree, const std::string& persona) {
  const fs::path file = memory::memories_file(tree, persona);
  if (!is_there(file)) return;
  constexpr std::size_t kBatch = 1000;
  try {
    io::Database database(file, io::OpenMode::read);
    auto rows = database.prepare("SELECT content FROM memories");
    std::vector<std::string> texts;
    while (rows.step()) {
      texts.emplace_back(rows.text(0));
      if (texts.size() < kBatch) continue;
      document::forget_passages(tree.embedding_cache(), texts);
      texts.clear();
    }
    document::forget_passages(tree.embedding_cache(), texts);
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;  // it goes all the same
  }
}

}  // namespace

bool run_remove(const tree::Tree& tree, const std::string& persona, bool with_adapters, std::chrono::milliseconds wait,
                Progress& progress) {
  const auto locks = lock_stores(tree, persona, wait);
  if (with_adapters)
    for (const AdapterUse& adapter : adapters_of(tree, tree::Config::load(tree), persona))
      if (adapter.others.empty() && !adapter.folder.empty()) remove_folder(adapter.folder);
  // From here on nobody begins anything with it.
  tree::remove_persona(tree, persona, wait);
  bool purged = remove_conversations(tree, persona, wait, progress);
  purged &= remove_documents(tree, persona);
  forget_memories(tree, persona);
  for (const fs::path& folder :
       {tree.memories(persona), tree.turns(persona), tree.vectors(tree::Scope::persona(persona))}) {
    if (const fs::path target = link_target(folder); !target.empty()) io::remove_stale(target.parent_path());
    remove_folder(folder);
    io::remove_stale(folder.parent_path());
  }
  return purged;
}

}  // namespace internal

namespace {

/// Originals that other scopes have too.
std::uint64_t count_shared(const tree::Tree& tree, const tree::Scope& scope) {
  if (!internal::is_there(tree.registry())) return 0;
  io::Database database(tree.registry(), io::OpenMode::read);
  auto count = database.prepare(
      "SELECT count(DISTINCT a.sha256 || a.extension) FROM sources a JOIN sources b ON b.sha256 = a.sha256 "
      "AND b.extension = a.extension AND b.scope <> a.scope WHERE a.scope = ?");
  count.bind(1, scope.name()).step();
  return static_cast<std::uint64_t>(count.integer(0));
}

void require_archives(const tree::Tree& tree, const std::string& persona) {
  if (!internal::is_there(session::conversations_file(tree))) return;
  io::Database conversations = session::read_conversations(tree);
  session::Archives archives;
  for (const auto& row : session::list_sessions(conversations, persona))
    if (row.archived > 0) archives.require(row.archive_file);
}

void plan(const tree::Tree& tree, const tree::Config& config, const Survey& survey, const RemoveOptions& options,
          RemoveReport& report) {
  const auto scope = tree::Scope::persona(survey.id);
  const auto add = [&](const char* what, const fs::path& path, std::uint64_t count, std::uint64_t bytes) {
    if (count + bytes > 0) report.steps.push_back({what, path, count, bytes});
  };
  add("sessions", session::conversations_file(tree), survey.sessions, survey.content_bytes);
  add("messages", session::conversations_file(tree), survey.messages, 0);
  add("documents", tree.registry(), survey.files, survey.original_bytes);
  const fs::path vectors = tree.vectors(scope), target = internal::link_target(vectors);
  add("vectors", target.empty() ? vectors : target, survey.vectors, survey.vector_bytes);
  add("turns", tree.turns(survey.id), survey.turns, 0);
  add("memories", tree.memories(survey.id), survey.memories, survey.memory_bytes);
  if (survey.is_listed) add("personas.yaml", tree.config("personas.yaml"), 1, 0);
  for (const AdapterUse& adapter : adapters_of(tree, config, survey.id)) {
    if (adapter.folder.empty()) continue;
    if (options.with_adapters && adapter.others.empty())
      add("adapter", adapter.folder, 1, adapter.bytes);
    else
      report.stays.push_back(adapter.others.empty()
                                 ? fmt::format("adapter {} ({}): nobody else has it; --with-adapters removes it",
                                               adapter.name, format_size(adapter.bytes))
                                 : fmt::format("adapter {} ({}): it belongs to {}, too", adapter.name,
                                               format_size(adapter.bytes), fmt::join(adapter.others, ", ")));
  }
  if (const auto shared = count_shared(tree, scope); shared > 0)
    report.stays.push_back(
        fmt::format("{}: others took {} in, too", counted(shared, "original"), shared == 1 ? "it" : "them"));
  report.stays.emplace_back("backups keep what they have of it: 'reef-backup list' shows them");
}

}  // namespace

RemoveReport remove(const tree::Tree& tree, const std::string& persona, const RemoveOptions& options,
                    Progress& progress) {
  tree::require_persona_id(persona);
  RemoveReport report;
  report.persona = persona;
  report.dry_run = options.dry_run;
  std::optional<io::LockFile> lock;
  if (!options.dry_run) {
    lock.emplace(tree::persona_lock_file(tree), options.wait);
    report.finished = finish_pending(tree, options.wait, progress);
  }
  const tree::Config config = tree::Config::load(tree);
  const auto found = survey(tree, config, persona);
  if (found.empty()) return report;
  tree::require_in_reach(tree, tree::Scope::persona(persona));
  require_archives(tree, persona);
  tree::require_removable(tree, persona);
  plan(tree, config, found.front(), options, report);
  if (options.dry_run) return report;
  { const auto locks = internal::lock_stores(tree, persona, options.wait); }  // before anything is recorded
  tree::begin_change(tree, {tree::PersonaChange::Kind::remove, persona,
                            options.with_adapters ? internal::kWithAdapters : "", to_rfc3339(now())});
  report.words_purged = internal::run_remove(tree, persona, options.with_adapters, options.wait, progress);
  tree::end_change(tree);
  return report;
}

}  // namespace reef::persona
