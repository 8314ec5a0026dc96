#include "reef/memory/forget.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "reef/core/error.h"
#include "reef/memory/internal/forget_plan.h"
#include "reef/memory/internal/loaded.h"
#include "reef/memory/internal/numbering.h"
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

bool knows_session(io::Database& memories, io::Database& conversations, const std::string& persona,
                   const std::string& session) {
  if (conversations)
    if (const auto row = session::find_session(conversations, session); row && row->persona == persona) return true;
  auto find = memories.prepare(
      "SELECT 1 WHERE EXISTS (SELECT 1 FROM decisions WHERE session = ?1) "
      "OR EXISTS (SELECT 1 FROM memory_sources WHERE session = ?1)");
  return find.bind(1, session).step();
}

internal::ForgetPlan plan_from(const tree::Tree& tree, const std::string& persona, io::Database& memories,
                               const ForgetOptions& options) {
  io::Database conversations = conversations_if_any(tree);
  auto plan = internal::make_plan(memories, conversations ? &conversations : nullptr, persona, options);
  if (plan.report.is_empty() && !plan.report.not_found.empty())
    throw Error(Errc::not_found,
                fmt::format("persona '{}' has no memory {}", persona, shown_id(plan.report.not_found.front())),
                "see 'reef-memory list --all'; what was forgotten is gone");
  if (options.session && plan.report.is_empty() && !knows_session(memories, conversations, persona, *options.session))
    throw Error(Errc::not_found, fmt::format("persona '{}' has no session '{}'", persona, *options.session),
                fmt::format("see 'reef-session list --persona {}'", persona));
  return plan;
}

/// In the transaction that removes the memories: they are not learned again.
class Burial {
 public:
  Burial(io::Database& memories, const internal::ForgetPlan& plan)
      : known_(memories.prepare("SELECT 1 FROM tombstones WHERE message IS ?1 AND content_hash IS ?2")),
        insert_(memories.prepare(
            "INSERT INTO tombstones(message, content_hash, origin, forgotten_at) VALUES (?1, ?2, nullif(?3, 0), ?4)")) {
    std::set<std::int64_t> ids;
    for (const ForgottenMemory& memory : plan.report.memories) ids.insert(memory.id);
    auto rest = memories.prepare("SELECT id, content, content_hash, ifnull(speaker, '') FROM memories");
    while (rest.step()) {
      if (ids.contains(rest.integer(0))) continue;
      staying_.emplace(rest.text(2));
      staying_.insert(said_hash(rest.text(3), rest.text(1)));
    }
  }

  /// message 0: none. What somebody else said in the same words stays, and its hash is not noted.
  void bury(std::int64_t message, const std::string& hash, std::int64_t origin) {
    const bool has_hash = !hash.empty() && !staying_.contains(hash);
    if (message <= 0 && !has_hash) return;
    for (io::Statement* statement : {&known_, &insert_}) {
      if (message > 0)
        statement->bind(1, message);
      else
        statement->bind_null(1);
      if (has_hash)
        statement->bind(2, hash);
      else
        statement->bind_null(2);
    }
    const bool is_known = known_.step();
    known_.reset();
    if (!is_known) insert_.bind(3, origin).bind(4, time_).run();
  }

 private:
  io::Statement known_, insert_;
  std::set<std::string> staying_;
  std::string time_ = to_database_time(now());
};

void bury(io::Database& memories, const internal::ForgetPlan& plan) {
  Burial burial(memories, plan);
  auto decide = memories.prepare("UPDATE decisions SET state = 'forgotten', memory = NULL WHERE message = ?");
  for (const internal::ForgottenMessage& message : plan.messages) {
    burial.bury(message.id, message.content_hash, message.origin);
    burial.bury(0, message.said_hash, 0);
    decide.bind(1, message.id).run();
  }
  for (const ForgottenMemory& memory : plan.report.memories) burial.bury(0, content_hash(memory.content), 0);
  for (const std::string& hash : plan.said) burial.bury(0, hash, 0);
  // A language model was told of many messages when it gave its reason for one.
  memories.execute("UPDATE decisions SET model_reason = NULL WHERE model_reason IS NOT NULL");
}

/// Memories that other messages said as well stay, without this source.
void cut_sources(io::Database& memories, const internal::ForgetPlan& plan) {
  auto remove = memories.prepare("DELETE FROM memory_sources WHERE memory = ? AND message = ?");
  auto other = memories.prepare(
      "UPDATE memories SET (source_session, source_message) = (SELECT session, message FROM memory_sources "
      "WHERE memory = ?1 ORDER BY created_at, message LIMIT 1) WHERE id = ?1 AND source_message = ?2");
  for (const internal::CutSource& source : plan.cut) remove.bind(1, source.memory).bind(2, source.message).run();
  for (const internal::CutSource& source : plan.cut) other.bind(1, source.memory).bind(2, source.message).run();
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
  internal::request_purge(memories, true, {}, {});
  io::Database conversations = session::open_conversations(tree);
  session::remove_summaries(conversations, sessions);
}

bool is_same(const ForgetReport& a, const ForgetReport& b) {
  const auto ids = [](const ForgetReport& report) {
    std::vector<std::int64_t> all;
    for (const ForgottenMemory& memory : report.memories) all.push_back(memory.id);
    return all;
  };
  return ids(a) == ids(b) && a.messages == b.messages && a.titled == b.titled && a.summarised == b.summarised;
}

/// Before anything was learned, messages can be forgotten already.
io::Database memories_to_look_at(const tree::Tree& tree, const std::string& persona, const ForgetOptions& options) {
  const bool is_first = options.ids.empty() && !file_exists(memories_file(tree, persona)) &&
                        file_exists(session::conversations_file(tree));
  return is_first ? no_memories() : read_memories(tree, persona);
}

}  // namespace

ForgetReport plan_forget(const tree::Tree& tree, const std::string& persona, const ForgetOptions& options) {
  internal::require_choice(options);
  io::Database memories = memories_to_look_at(tree, persona, options);
  ForgetReport report = plan_from(tree, persona, memories, options).report;
  if (report.is_empty()) read_memories(tree, persona);
  report.dry_run = report.is_plan = true;
  return report;
}

ForgetReport forget(const tree::Tree& tree, const std::string& persona, const ForgetOptions& options) {
  internal::require_choice(options);
  if (!file_exists(memories_file(tree, persona))) plan_forget(tree, persona, options);  // nothing is made for nothing
  StoreOptions store_options = options.store;
  store_options.purges = true;
  Store store(tree, persona, store_options);
  if (io::Database conversations = conversations_if_any(tree))
    internal::follow_numbers(conversations, store.database(), persona);
  if (internal::purge_is_due(store.database())) store.finish_run();
  const internal::ForgetPlan plan = plan_from(tree, persona, store.database(), options);
  if (options.agreed != nullptr && !is_same(plan.report, *options.agreed))
    throw Error(Errc::failed, "nothing was forgotten: it is not what was shown any more", "run the command again");
  if (plan.report.is_empty()) return plan.report;
  std::vector<internal::MarkedMessage> removed;
  if (options.with_source)
    for (const internal::ForgottenMessage& message : plan.messages)
      if (!message.session.empty()) removed.push_back({message.id, message.mark});
  std::vector<std::string> sessions;
  for (const TouchedSession& touched : plan.report.sessions) sessions.push_back(touched.id);
  remove_summaries(tree, store.database(), plan.report.summarised);
  if (!plan.report.titled.empty()) {
    internal::request_purge(store.database(), true, {}, {});
    remove_titles(tree, plan.report.titled);
  }
  {
    io::Transaction transaction(store.database());
    bury(store.database(), plan);
    cut_sources(store.database(), plan);
    remove_memories(store.database(), plan);
    if (io::Database conversations = conversations_if_any(tree))
      internal::note_numbers(conversations, store.database());
    internal::request_purge(store.database(), options.with_source, removed, sessions);
    transaction.commit();
  }
  ForgetReport report = plan.report;
  FinishReport finish = store.finish_run();
  report.words_purged = finish.words_purged;
  report.not_purged = std::move(finish.not_purged);
  return report;
}

}  // namespace reef::memory
