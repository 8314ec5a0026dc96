#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/time.h"
#include "reef/document/stores.h"
#include "reef/io/sqlite.h"
#include "reef/io/sqlite_mode.h"
#include "reef/memory/exports.h"
#include "reef/memory/schema.h"
#include "reef/persona/change.h"
#include "reef/persona/internal/folders.h"
#include "reef/persona/internal/steps.h"
#include "reef/persona/internal/tables.h"
#include "reef/persona/survey.h"
#include "reef/session/schema.h"
#include "reef/tree/parts.h"
#include "reef/tree/persona.h"
#include "reef/tree/persona_edit.h"

namespace reef::persona {
namespace internal {
namespace {

void run(io::Database& database, const char* sql, const std::string& from, const std::string& to) {
  auto statement = database.prepare(sql);
  statement.bind(1, from);
  if (std::string_view(sql).find("?2") != std::string_view::npos) statement.bind(2, to);
  statement.run();
}

/// The persona keeps its number, and with it the words of its messages: that is two statements, however much it said.
void rename_conversations(const tree::Tree& tree, const std::string& from, const std::string& to) {
  if (!is_there(session::conversations_file(tree))) return;
  {
    io::Database database = session::open_conversations(tree);
    io::leave_triggers_out(database);
    io::Transaction transaction(database);
    const std::int64_t number = session::persona_number(database, from);
    const std::int64_t other = session::persona_number(database, to);
    auto sessions = database.prepare("SELECT 1 FROM sessions WHERE persona_id = ?");
    if (number != 0 && !sessions.bind(1, to).step()) {
      // A persona of that name that was removed left a number.
      for (const char* sql :
           {"DELETE FROM pending_messages WHERE persona = ?", "DELETE FROM removed_messages WHERE persona = ?"})
        database.prepare(sql).bind(1, other).run();
      run(database, "DELETE FROM persona_numbers WHERE persona_id = ?1", to, {});
      run(database, "UPDATE persona_numbers SET persona_id = ?2 WHERE persona_id = ?1", from, to);
      run(database, "UPDATE sessions SET persona_id = ?2 WHERE persona_id = ?1", from, to);
    }
    sessions.reset();
    transaction.commit();
  }
  // What somebody put in under the old name since: the triggers take its words along.
  io::Database database = session::open_conversations(tree);
  run(database, "UPDATE sessions SET persona_id = ?2 WHERE persona_id = ?1", from, to);
}

void rename_documents(const tree::Tree& tree, const std::string& from, const std::string& to) {
  if (!is_there(tree.registry())) return;
  io::Database database(tree.registry(), io::OpenMode::write);
  run(database, "UPDATE sources SET scope = 'persona:' || ?2 WHERE scope = 'persona:' || ?1", from, to);
}

}  // namespace

void settle_memories(const tree::Tree& tree, const std::string& persona) {
  if (!is_there(memory::memories_file(tree, persona))) return;
  io::remove_stale(tree.memories(persona));
  io::Database database = memory::open_memories(tree, persona);
  run(database, "UPDATE memories SET persona_id = ?1 WHERE persona_id <> ?1", persona, {});
  memory::write_json_exports(tree.memories(persona), database, persona, false);
}

void write_mapping(const tree::Tree& tree, const std::string& persona, std::chrono::milliseconds wait) {
  const auto scope = tree::Scope::persona(persona);
  if (!is_there(tree.vectors(scope) / "metadata.sqlite")) return;
  document::Stores store(tree, scope, wait);
  // Else it is taken for what it says of generation and rows.
  const fs::path mapping = tree.vectors(scope) / "id_mapping.json";
  if (::unlink(mapping.c_str()) != 0 && errno != ENOENT) throw_errno("remove", io::shown(mapping));
  store.finish_run();
}

void run_rename(const tree::Tree& tree, const std::string& from, const std::string& to,
                std::chrono::milliseconds wait) {
  const io::LockFile conversations(tree.conversations() / ".lock", wait);
  // Of both: an earlier run may have renamed some of the folders.
  auto locks = lock_stores(tree, from, wait);
  for (const fs::path& folder : {tree.vectors(tree::Scope::persona(to)), tree.turns(to), tree.memories(to)})
    if (is_taken(folder)) locks.emplace_back(folder / ".lock", wait);
  rename_conversations(tree, from, to);
  rename_documents(tree, from, to);
  std::error_code ignored;
  fs::remove_all(tree.documents() / (".staging-persona-" + from), ignored);  // of a killed run, which begins it anew
  move_folder(tree.memories(from), tree.memories(to));
  move_folder(tree.turns(from), tree.turns(to));
  move_store(tree.vectors(tree::Scope::persona(from)), tree.vectors(tree::Scope::persona(to)));
  settle_memories(tree, to);
  locks.clear();
  write_mapping(tree, to, wait);
  tree::rename_persona(tree, from, to, wait);
}

}  // namespace internal

namespace {

std::vector<ChangeStep> steps_of(const tree::Tree& tree, const Survey& survey) {
  std::vector<ChangeStep> steps;
  if (survey.is_listed) steps.push_back({"personas.yaml", tree.config("personas.yaml"), 1, 0});
  const auto add = [&](const char* what, const fs::path& path, std::uint64_t count, std::uint64_t bytes) {
    if (count + bytes > 0 || internal::is_taken(path)) steps.push_back({what, path, count, bytes});
  };
  if (survey.sessions > 0)
    steps.push_back({"sessions", session::conversations_file(tree), survey.sessions, survey.content_bytes});
  if (survey.files > 0) steps.push_back({"documents", tree.registry(), survey.files, survey.original_bytes});
  add("vectors", tree.vectors(tree::Scope::persona(survey.id)), survey.vectors, survey.vector_bytes);
  add("turns", tree.turns(survey.id), survey.turns, 0);
  add("memories", tree.memories(survey.id), survey.memories, survey.memory_bytes);
  return steps;
}

}  // namespace

RenameReport rename(const tree::Tree& tree, const std::string& from, const std::string& to,
                    const ChangeOptions& options, Progress& progress) {
  tree::require_persona_id(from);
  tree::require_persona_id(to);
  if (from == to) throw Error(Errc::usage, fmt::format("'{}' is its id already", to), "name another one");
  RenameReport report;
  report.from = from;
  report.to = to;
  report.dry_run = options.dry_run;
  std::optional<io::LockFile> lock;
  if (!options.dry_run) {
    lock.emplace(tree::persona_lock_file(tree), options.wait);
    report.finished = finish_pending(tree, options.wait, progress);
  }
  const tree::Config config = tree::Config::load(tree);
  const auto found = survey(tree, config, from);
  const bool is_taken = !survey(tree, config, to).empty();
  if (found.empty()) {
    if (is_taken) return report;
    tree::require_persona(config, from);  // which names the nearest
  }
  if (is_taken)
    throw Error(Errc::usage, fmt::format("there is a persona '{}' already", to),
                fmt::format("name another id; 'reef-persona show {}' tells what it has", to));
  for (const fs::path& folder : {tree.vectors(tree::Scope::persona(to)), tree.turns(to), tree.memories(to)})
    if (internal::is_taken(folder))
      throw Error(Errc::usage, fmt::format("{} is there already", io::shown(folder)), "move it elsewhere first");
  tree::require_in_reach(tree, tree::Scope::persona(from));
  tree::require_renamable(tree, from, to);
  report.steps = steps_of(tree, found.front());
  if (options.dry_run) return report;
  { const auto locks = internal::lock_stores(tree, from, options.wait); }  // before anything is recorded
  tree::begin_change(tree, {tree::PersonaChange::Kind::rename, from, to, to_rfc3339(now())});
  internal::run_rename(tree, from, to, options.wait);
  tree::end_change(tree);
  return report;
}

Finished finish_pending(const tree::Tree& tree, std::chrono::milliseconds wait, Progress& progress) {
  const auto change = tree::pending_change(tree);
  if (!change) return {};
  log_step("finishing what a run began at {}: to {} persona {}", change->began, tree::kind_name(change->kind),
           change->persona);
  FinishedChange finished{*change};
  switch (change->kind) {
    case tree::PersonaChange::Kind::rename:
      tree::require_persona_id(change->to);
      internal::run_rename(tree, change->persona, change->to, wait);
      break;
    case tree::PersonaChange::Kind::remove:
      internal::run_remove(tree, change->persona, change->to == internal::kWithAdapters, wait, progress);
      break;
    case tree::PersonaChange::Kind::import:
      finished.undone = !internal::run_import(tree, change->persona, change->to, wait);
      break;
  }
  tree::end_change(tree);
  return finished;
}

}  // namespace reef::persona
