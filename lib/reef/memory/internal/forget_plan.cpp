#include "reef/memory/internal/forget_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "reef/core/error.h"
#include "reef/session/store.h"
#include "reef/text/fold.h"

namespace reef::memory::internal {
namespace {

bool contains(const std::string& content, const std::string& folded_wanted) {
  return text::folded(content).find(folded_wanted) != std::string::npos;
}

std::set<std::int64_t> wanted_memories(io::Database& memories, const ForgetOptions& options,
                                       std::vector<std::int64_t>& not_found) {
  std::set<std::int64_t> ids;
  auto find = memories.prepare("SELECT 1 FROM memories WHERE id = ?");
  for (const std::int64_t id : std::set<std::int64_t>(options.ids.begin(), options.ids.end())) {
    find.bind(1, id);
    if (find.step())
      ids.insert(id);
    else
      not_found.push_back(id);
    find.reset();
  }
  if (options.session) {
    auto from = memories.prepare(
        "SELECT id FROM memories WHERE source_session = ?1 "
        "UNION SELECT memory FROM memory_sources WHERE session = ?1");
    for (from.bind(1, *options.session); from.step();) ids.insert(from.integer(0));
  }
  if (options.matching) {
    const std::string wanted = text::folded(*options.matching);
    auto all = memories.prepare("SELECT id, content FROM memories");
    while (all.step())
      if (contains(std::string(all.text(1)), wanted)) ids.insert(all.integer(0));
  }
  return ids;
}

/// The messages that said a memory, with their sessions.
std::map<std::int64_t, std::string> messages_of(io::Database& memories, const std::set<std::int64_t>& ids) {
  std::map<std::int64_t, std::string> messages;
  auto select = memories.prepare(
      "SELECT message, session FROM memory_sources WHERE memory = ?1 "
      "UNION SELECT message, session FROM decisions WHERE memory = ?1");
  for (const std::int64_t id : ids) {
    for (select.bind(1, id); select.step();) messages[select.integer(0)] = select.text(1);
    select.reset();
  }
  return messages;
}

/// Texts of the persona's sessions: of all that have a message in question, or of all when a text is looked for.
class Conversations {
 public:
  Conversations(io::Database& database, std::string persona) : database_(database), persona_(std::move(persona)) {}

  void add_session(const std::string& id, std::map<std::int64_t, ForgottenMessage>& found) {
    each(id, [&](const session::Message& message) { take(message, found); });
  }
  void add_matching(const std::string& text, std::map<std::int64_t, ForgottenMessage>& found) {
    const std::string wanted = text::folded(text);
    for (const auto& row : session::list_sessions(database_, persona_)) {
      each(row.id, [&](const session::Message& message) {
        if (contains(message.content, wanted) || contains(message.metadata, wanted)) take(message, found);
      });
    }
  }
  std::vector<std::string> titled(const std::string& text) {
    const std::string wanted = text::folded(text);
    std::vector<std::string> ids;
    for (const auto& row : session::list_sessions(database_, persona_))
      if (contains(row.title, wanted) || (row.summary_model.empty() && contains(row.summary, wanted)))
        ids.push_back(row.id);
    return ids;
  }
  /// By a language model.
  void add_summarised(const std::string& text, std::set<std::string>& sessions) {
    const std::string wanted = text::folded(text);
    for (const auto& row : session::list_sessions(database_, persona_))
      if (!row.summary_model.empty() && contains(row.summary, wanted)) sessions.insert(row.id);
  }
  /// Numbers that mean another session's message by now are of messages that are gone.
  void add_messages(const std::map<std::int64_t, std::string>& messages,
                    std::map<std::int64_t, ForgottenMessage>& found) {
    for (const auto& [id, session] : messages) {
      const auto message = session::read_message(database_, archives_, id);
      if (message && message->session == session && is_own(session))
        take(*message, found);
      else
        found.try_emplace(id, ForgottenMessage{id, "", ""});
    }
  }
  std::optional<session::SessionRow> own_session(const std::string& id) {
    auto row = session::find_session(database_, id);
    return row && row->persona == persona_ ? row : std::nullopt;
  }

 private:
  static void take(const session::Message& message, std::map<std::int64_t, ForgottenMessage>& found) {
    found[message.id] = {message.id, message.session, content_hash(message.content)};
  }
  bool is_own(const std::string& id) {
    const auto [known, is_new] = own_.try_emplace(id, false);
    if (is_new) known->second = own_session(id).has_value();
    return known->second;
  }
  template <typename Visit>
  void each(const std::string& id, Visit visit) {
    if (is_own(id)) session::read_messages(database_, archives_, id, visit);
  }

  io::Database& database_;
  std::string persona_;
  session::Archives archives_;
  std::map<std::string, bool> own_;
};

}  // namespace

void require_choice(const ForgetOptions& options) {
  const int kinds = (options.ids.empty() ? 0 : 1) + (options.session ? 1 : 0) + (options.matching ? 1 : 0);
  if (kinds != 1)
    throw Error(Errc::usage, "name memories, --session or --matching, one of them", "try 'reef-memory forget --help'");
  if (options.matching && text::folded(*options.matching).empty())
    throw Error(Errc::usage, "--matching is empty, which every text holds", "name a word");
}

ForgetPlan make_plan(io::Database& memories, io::Database* conversations, const std::string& persona,
                     const ForgetOptions& options) {
  ForgetPlan plan;
  plan.report.persona = persona;
  plan.report.with_source = options.with_source;
  const auto ids = wanted_memories(memories, options, plan.report.not_found);
  auto read = memories.prepare("SELECT content, created_at FROM memories WHERE id = ?");
  for (const std::int64_t id : ids) {
    read.bind(1, id).step();
    plan.report.memories.push_back({id, std::string(read.text(0)), std::string(read.text(1))});
    read.reset();
  }
  std::map<std::int64_t, ForgottenMessage> found;
  const auto messages = messages_of(memories, ids);
  if (conversations != nullptr) {
    Conversations all(*conversations, persona);
    all.add_messages(messages, found);
    if (options.session) all.add_session(*options.session, found);
    if (options.matching) all.add_matching(*options.matching, found);
    if (options.matching && options.with_source) plan.report.titled = all.titled(*options.matching);
    std::set<std::string> summarised;
    if (options.matching) all.add_summarised(*options.matching, summarised);
    std::map<std::string, std::uint64_t> per_session;
    for (const auto& [id, message] : found)
      if (!message.session.empty()) ++per_session[message.session];
    for (const auto& [id, count] : per_session) {
      const auto row = all.own_session(id);
      plan.report.sessions.push_back({id, count, row->messages, row->archived > 0 ? row->archive_file : ""});
      if (!row->summary_model.empty()) summarised.insert(id);
    }
    plan.report.summarised.assign(summarised.begin(), summarised.end());
  } else {
    for (const auto& [id, session] : messages) found[id] = {id, "", ""};
  }
  // Of a session that is gone, or was never read, decisions tell the messages.
  if (options.session) {
    auto select = memories.prepare("SELECT message FROM decisions WHERE session = ?");
    for (select.bind(1, *options.session); select.step();)
      found.try_emplace(select.integer(0), ForgottenMessage{select.integer(0), "", ""});
  }
  for (auto& [id, message] : found) {
    plan.report.messages.push_back(id);
    plan.messages.push_back(std::move(message));
  }
  return plan;
}

}  // namespace reef::memory::internal
