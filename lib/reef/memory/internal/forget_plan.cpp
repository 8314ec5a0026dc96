#include "reef/memory/internal/forget_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "reef/core/error.h"
#include "reef/memory/internal/numbering.h"
#include "reef/memory/internal/tags.h"
#include "reef/memory/internal/undecided.h"
#include "reef/session/store.h"
#include "reef/text/fold.h"

namespace reef::memory::internal {
namespace {

bool contains(const std::string& content, const std::string& folded_wanted) {
  return text::folded(content).find(folded_wanted) != std::string::npos;
}

bool is_role(std::string_view speaker) {
  constexpr std::array<std::string_view, 6> kRoles{"user", "assistant", "system", "tool", "function", "developer"};
  return std::find(kRoles.begin(), kRoles.end(), speaker) != kRoles.end();
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
    auto all = memories.prepare(
        "SELECT id, content, ifnull(speaker, ''), ifnull(tags, '[]') FROM memories "
        "UNION ALL SELECT memory, '', speaker, '[]' FROM memory_sources WHERE speaker IS NOT NULL");
    // Where nobody is named, the role stands for the speaker.
    const auto names = [&](std::string_view speaker) {
      return !is_role(speaker) && contains(std::string(speaker), wanted);
    };
    while (all.step()) {
      const auto tags = parse_tags(std::string(all.text(3)));
      if (contains(std::string(all.text(1)), wanted) || names(all.text(2)) ||
          std::any_of(tags.begin(), tags.end(), [&](const std::string& tag) { return contains(tag, wanted); }))
        ids.insert(all.integer(0));
    }
  }
  return ids;
}

/// The messages that said a memory.
std::map<std::int64_t, NamedMessage> messages_of(io::Database& memories, const std::set<std::int64_t>& ids) {
  std::map<std::int64_t, NamedMessage> messages;
  auto select = memories.prepare(
      "SELECT message, session, ifnull(external_id, ''), created_at, "
      "(SELECT ifnull(content_hash, '') FROM memories WHERE id = ?1) FROM memory_sources WHERE memory = ?1 "
      "UNION ALL SELECT message, session, '', created_at, '' FROM decisions WHERE memory = ?1");
  for (const std::int64_t id : ids) {
    for (select.bind(1, id); select.step();)
      messages.try_emplace(select.integer(0),
                           NamedMessage{select.integer(0), std::string(select.text(1)), std::string(select.text(2)),
                                        std::string(select.text(3)), std::string(select.text(4))});
    select.reset();
  }
  return messages;
}

/// Memories that one of the messages said: those that no other message said go with them, the others lose that source.
void add_said(io::Database& memories, const std::map<std::int64_t, ForgottenMessage>& found,
              std::set<std::int64_t>& ids, std::vector<CutSource>& cut) {
  std::map<std::int64_t, std::vector<std::int64_t>> said;
  auto by_message = memories.prepare("SELECT memory FROM memory_sources WHERE message = ?");
  for (const auto& [message, unused] : found) {
    for (by_message.bind(1, message); by_message.step();)
      if (!ids.contains(by_message.integer(0))) said[by_message.integer(0)].push_back(message);
    by_message.reset();
  }
  auto count = memories.prepare("SELECT count(*) FROM memory_sources WHERE memory = ?");
  for (const auto& [memory, messages] : said) {
    count.bind(1, memory).step();
    if (count.integer(0) > static_cast<std::int64_t>(messages.size()))
      for (const std::int64_t message : messages) cut.push_back({memory, message});
    else
      ids.insert(memory);
    count.reset();
  }
}

std::vector<std::string> said_by(io::Database& memories, const std::set<std::int64_t>& ids) {
  std::set<std::string> hashes;
  auto select = memories.prepare(
      "SELECT content, ifnull(speaker, '') FROM memories WHERE id = ?1 UNION SELECT m.content, s.speaker "
      "FROM memories m JOIN memory_sources s ON s.memory = m.id WHERE m.id = ?1 AND s.speaker IS NOT NULL");
  for (const std::int64_t id : ids) {
    for (select.bind(1, id); select.step();) hashes.insert(said_hash(select.text(1), select.text(0)));
    select.reset();
  }
  return {hashes.begin(), hashes.end()};
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
        if (contains(message.content, wanted) || contains(message.metadata, wanted) ||
            contains(message.speaker, wanted))
          take(message, found);
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
  void add_messages(const std::map<std::int64_t, NamedMessage>& messages,
                    std::map<std::int64_t, ForgottenMessage>& found) {
    for (const auto& [number, named] : messages) {
      const auto message = is_own(named.session) ? find_named(database_, archives_, named) : std::nullopt;
      if (message)
        take(*message, found);
      else if (number > 0 &&
               !session::read_stored_message(database_, number))  // else the number is another message's by now
        found.try_emplace(number, ForgottenMessage{number});
    }
  }
  std::optional<session::SessionRow> own_session(const std::string& id) {
    auto row = session::find_session(database_, id);
    return row && row->persona == persona_ ? row : std::nullopt;
  }

 private:
  static void take(const session::Message& message, std::map<std::int64_t, ForgottenMessage>& found) {
    found[message.id] = {message.id,
                         message.session,
                         content_hash(message.content),
                         said_hash(speaker_of(message), message.content),
                         origin_of(message),
                         mark_of(message)};
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
  auto ids = wanted_memories(memories, options, plan.report.not_found);
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
    for (const auto& [id, named] : messages)
      if (id > 0) found[id] = ForgottenMessage{id};
  }
  // Of a session that is gone, or was never read, decisions tell the messages.
  if (options.session) {
    auto select = memories.prepare("SELECT message FROM decisions WHERE session = ? AND message > 0");
    for (select.bind(1, *options.session); select.step();)
      found.try_emplace(select.integer(0), ForgottenMessage{select.integer(0)});
  }
  add_said(memories, found, ids, plan.cut);
  plan.said = said_by(memories, ids);
  auto read = memories.prepare("SELECT content, created_at FROM memories WHERE id = ?");
  for (const std::int64_t id : ids) {
    read.bind(1, id).step();
    plan.report.memories.push_back({id, std::string(read.text(0)), std::string(read.text(1))});
    read.reset();
  }
  for (auto& [id, message] : found) {
    plan.report.messages.push_back(id);
    plan.messages.push_back(std::move(message));
  }
  return plan;
}

}  // namespace reef::memory::internal
