#include "reef/memory/forget.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "reef/core/error.h"
#include "reef/memory/internal/forget_plan.h"
#include "reef/memory/internal/loaded.h"
#include "reef/memory/internal/purge.h"
#include "reef/memory/schema.h"
#include "reef/session/store.h"
#include "reef/session/summary.h"

namespace reef::memory {
namespace {

bool file_exists(const std::filesystem::path& path) {
  std::error_code unreadable;
  return std::filesystem::exists(path, unreadable);
}

io::Database conversations_if_any(const tree::Tree& tree) {
  return file_exists(session::conversations_file(tree)) ? session::read_conversations(tree) : io::Database();
}

internal::ForgetPlan plan_from(const tree::Tree& tree, const std::string& persona, io::Database& memories,
                               const ForgetOptions& options) {
  io::Database conversations = conversations_if_any(tree);
  auto plan = internal::make_plan(memories, conversations ? &conversations : nullptr, persona, options);
  if (plan.report.is_empty() && !plan.report.not_found.empty())
    throw Error(Errc::not_found,
                fmt::format("persona '{}' has no memory {}", persona, shown_id(plan.report.not_found.front())),
                "see 'reef-memory list --all'; what was forgotten is gone");
  return plan;
}

/// In the transaction that removes the memories: they are not learned again.
void bury(io::Database& memories, const internal::ForgetPlan& plan) {
  auto known = memories.prepare("SELECT 1 FROM tombstones WHERE message IS ?1 AND content_hash IS ?2");
  auto insert = memories.prepare("INSERT INTO tombstones(message, content_hash, forgotten_at) VALUES (?, ?, ?)");
  auto decide = memories.prepare("UPDATE decisions SET state = 'forgotten', memory = NULL WHERE message = ?");
  const std::string time = to_database_time(now());
  std::set<std::int64_t> ids;
  for (const ForgottenMemory& memory : plan.report.memories) ids.insert(memory.id);
  auto same_text = memories.prepare("SELECT id FROM memories WHERE content_hash = ?");
  // What somebody else said in the same words stays.
  const auto stays = [&](const std::string& hash) {
    bool found = false;
    for (same_text.bind(1, hash); same_text.step();) found |= !ids.contains(same_text.integer(0));
    same_text.reset();
    return found;
  };
  const auto bury_one = [&](std::int64_t message, std::string hash) {
    if (!hash.empty() && stays(hash)) hash.clear();
    if (message == 0 && hash.empty()) return;
    for (io::Statement* statement : {&known, &insert}) {
      if (message > 0)
        statement->bind(1, message);
      else
        statement->bind_null(1);
      if (hash.empty())
        statement->bind_null(2);
      else
        statement->bind(2, hash);
    }
    const bool is_known = known.step();
    known.reset();
    if (!is_known) insert.bind(3, time).run();
  };
  for (const internal::ForgottenMessage& message : plan.messages) {
    bury_one(message.id, message.content_hash);
    decide.bind(1, message.id).run();
  }
  for (const ForgottenMemory& memory : plan.report.memories) bury_one(0, content_hash(memory.content));
  // A language model was told of many messages when it gave its reason for one.
  memories.execute("UPDATE decisions SET model_reason = NULL WHERE model_reason IS NOT NULL");
}

void remove_memories(io::Database& memories, const internal::ForgetPlan& plan) {
  auto slot = memories.prepare("SELECT slot FROM memories WHERE id = ? AND slot IS NOT NULL");
  auto revive = memories.prepare("UPDATE memories SET superseded_by = NULL, valid_to = NULL WHERE superseded_by = ?");
  auto remove = memories.prepare("DELETE FROM memories WHERE id = ?");
  std::set<std::int64_t> slots;
  for (const ForgottenMemory& memory : plan.report.memories) {
    slot.bind(1, memory.id);
    if (slot.step()) slots.insert(slot.integer(0));
    slot.reset();
    revive.bind(1, memory.id).run();
  }
  for (const ForgottenMemory& memory : plan.report.memories) remove.bind(1, memory.id).run();
  for (const std::int64_t one : slots) internal::order_attribute(memories, one);
  memories.execute("DELETE FROM entities WHERE id NOT IN (SELECT entity FROM memory_entities)");
}

/// Titles and summaries that hold the text, of sessions that stay.
void remove_titles(const tree::Tree& tree, const std::vector<std::string>& sessions) {
  if (sessions.empty()) return;
  io::Database conversations = session::open_conversations(tree);
  io::Transaction transaction(conversations);
  auto update = conversations.prepare("UPDATE sessions SET title = NULL, summary = NULL WHERE id = ?");
  for (const std::string& id : sessions) update.bind(1, id).run();
  transaction.commit();
}

/// What a language model wrote: its bytes are to be purged even if this run ends here.
void remove_summaries(const tree::Tree& tree, io::Database& memories, const std::vector<std::string>& sessions) {
  if (sessions.empty()) return;
  io::Transaction transaction(memories);
  internal::request_purge(memories, true, {}, {});
  transaction.commit();
  io::Database conversations = session::open_conversations(tree);
  session::remove_summaries(conversations, sessions);
}

}  // namespace

ForgetReport plan_forget(const tree::Tree& tree, const std::string& persona, const ForgetOptions& options) {
  internal::require_choice(options);
  io::Database memories = read_memories(tree, persona);
  ForgetReport report = plan_from(tree, persona, memories, options).report;
  report.dry_run = true;
  return report;
}

ForgetReport forget(const tree::Tree& tree, const std::string& persona, const ForgetOptions& options) {
  internal::require_choice(options);
  read_memories(tree, persona);  // which is not made by forgetting
  Store store(tree, persona, options.store);
  if (internal::purge_is_due(store.database())) store.finish_run();
  const internal::ForgetPlan plan = plan_from(tree, persona, store.database(), options);
  if (plan.report.is_empty()) return plan.report;
  std::vector<std::int64_t> removed;
  if (options.with_source)
    for (const internal::ForgottenMessage& message : plan.messages)
      if (!message.session.empty()) removed.push_back(message.id);
  std::vector<std::string> sessions;
  for (const TouchedSession& touched : plan.report.sessions) sessions.push_back(touched.id);
  remove_summaries(tree, store.database(), plan.report.summarised);
  remove_titles(tree, plan.report.titled);
  {
    io::Transaction transaction(store.database());
    bury(store.database(), plan);
    remove_memories(store.database(), plan);
    internal::request_purge(store.database(), options.with_source, removed, sessions);
    transaction.commit();
  }
  ForgetReport report = plan.report;
  store.finish_run();
  if (options.purge && !removed.empty()) options.purge(removed);
  report.words_purged = !internal::purge_is_due(store.database());
  return report;
}

}  // namespace reef::memory
