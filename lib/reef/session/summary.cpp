#include "reef/session/summary.h"

#include <fmt/format.h>

namespace reef::session {
namespace {

/// Sessions as list_unsummarised() looks at them; the index of messages has all that this reads.
constexpr const char* kCounted =
    "SELECT s.id, count(m.id), max(m.created_at) FROM sessions s JOIN messages m ON m.session_id = s.id"
    " LEFT JOIN session_summaries g ON g.session_id = s.id"
    " WHERE (g.session_id IS NOT NULL OR coalesce(s.summary, '') = '') AND ";

std::string joined(const Summary& summary) {
  std::string text;
  for (const SummarySentence& sentence : summary.sentences) text += (text.empty() ? "" : " ") + sentence.text;
  return text;
}

bool is_still(io::Database& conversations, const Unsummarised& of) {
  auto row = conversations.prepare(fmt::format("{} s.id = ? GROUP BY s.id", kCounted));
  row.bind(1, of.session);
  return row.step() && static_cast<std::uint64_t>(row.integer(1)) == of.messages && row.text(2) == of.last;
}

bool has_messages(io::Database& conversations, const Unsummarised& of, const Summary& summary) {
  auto find = conversations.prepare("SELECT 1 FROM messages WHERE id = ? AND session_id = ?");
  for (const SummarySentence& sentence : summary.sentences)
    for (const std::int64_t message : sentence.messages) {
      if (!find.reset().bind(1, message).bind(2, of.session).step()) return false;
    }
  return true;
}

}  // namespace

std::optional<Summary> read_summary(io::Database& conversations, std::string_view session) {
  auto head = conversations.prepare("SELECT model, created_at FROM session_summaries WHERE session_id = ?");
  if (!head.bind(1, session).step()) return std::nullopt;
  Summary summary;
  summary.model = head.text(0);
  summary.created = head.text(1);
  auto rows = conversations.prepare(
      "SELECT t.number, t.sentence, c.message, m.external_id FROM summary_sentences t"
      " LEFT JOIN summary_sources c ON c.session_id = t.session_id AND c.number = t.number"
      " LEFT JOIN messages m ON m.id = c.message WHERE t.session_id = ? ORDER BY t.number, c.message");
  rows.bind(1, session);
  std::int64_t last = -1;
  while (rows.step()) {
    if (rows.integer(0) != last) summary.sentences.push_back({std::string(rows.text(1)), {}, {}});
    last = rows.integer(0);
    if (rows.is_null(2)) continue;
    summary.sentences.back().messages.push_back(rows.integer(2));
    if (!rows.is_null(3)) summary.sentences.back().external_ids.emplace_back(rows.text(3));
  }
  return summary;
}

std::vector<Unsummarised> list_unsummarised(io::Database& conversations, const std::string& persona, Time quiet_since) {
  auto rows = conversations.prepare(
      fmt::format("{} s.persona_id = ?1 GROUP BY s.id HAVING max(m.created_at) <= ?2"
                  " AND (g.session_id IS NULL OR g.messages <> count(m.id) OR g.last_message <> max(m.created_at))"
                  " ORDER BY max(m.created_at) DESC, s.id",
                  kCounted));
  rows.bind(1, persona).bind(2, to_database_time(quiet_since));
  std::vector<Unsummarised> found;
  while (rows.step())
    found.push_back(
        {std::string(rows.text(0)), static_cast<std::uint64_t>(rows.integer(1)), std::string(rows.text(2))});
  return found;
}

bool put_summary(io::Database& conversations, const Unsummarised& of, const Summary& summary) {
  io::Transaction transaction(conversations);
  if (!is_still(conversations, of) || !has_messages(conversations, of, summary)) return false;
  const std::string text = joined(summary);
  // The same text would not tell the trigger that the older one is gone.
  conversations.prepare("DELETE FROM session_summaries WHERE session_id = ?").bind(1, of.session).run();
  auto write = conversations.prepare("UPDATE sessions SET summary = ? WHERE id = ?");
  if (text.empty())
    write.bind_null(1);
  else
    write.bind(1, text);
  write.bind(2, of.session).run();
  conversations
      .prepare(
          "INSERT INTO session_summaries(session_id, model, created_at, messages, last_message)"
          " VALUES (?, ?, ?, ?, ?)")
      .bind(1, of.session)
      .bind(2, summary.model)
      .bind(3, summary.created)
      .bind(4, static_cast<std::int64_t>(of.messages))
      .bind(5, of.last)
      .run();
  auto sentence = conversations.prepare("INSERT INTO summary_sentences(session_id, number, sentence) VALUES (?, ?, ?)");
  auto source =
      conversations.prepare("INSERT OR IGNORE INTO summary_sources(session_id, number, message) VALUES (?, ?, ?)");
  std::int64_t number = 0;
  for (const SummarySentence& one : summary.sentences) {
    sentence.bind(1, of.session).bind(2, ++number).bind(3, one.text).run();
    for (const std::int64_t message : one.messages) source.bind(1, of.session).bind(2, number).bind(3, message).run();
  }
  transaction.commit();
  return true;
}

void remove_summaries(io::Database& conversations, std::span<const std::string> sessions) {
  io::Transaction transaction(conversations);
  auto clear = conversations.prepare(
      "UPDATE sessions SET summary = NULL WHERE id = ?1 AND id IN (SELECT session_id FROM session_summaries)");
  auto remove = conversations.prepare("DELETE FROM session_summaries WHERE session_id = ?");
  for (const std::string& session : sessions) {
    clear.bind(1, session).run();
    remove.bind(1, session).run();
  }
  transaction.commit();
}

std::vector<std::string> summary_faults(io::Database& conversations) {
  std::vector<std::string> faults;
  const auto count = [&](const char* sql, const char* what) {
    auto found = conversations.prepare(sql);
    if (found.step() && found.integer(0) > 0) faults.push_back(fmt::format("{} {}", found.integer(0), what));
  };
  count(
      "SELECT count(*) FROM summary_sources c LEFT JOIN messages m ON m.id = c.message"
      " WHERE m.session_id IS NOT c.session_id",
      "sources of summaries are no messages of their session");
  count(
      "SELECT count(*) FROM summary_sentences t WHERE NOT EXISTS"
      " (SELECT 1 FROM summary_sources c WHERE c.session_id = t.session_id AND c.number = t.number)",
      "sentences of summaries rest on no message");
  count(
      "SELECT count(*) FROM session_summaries g LEFT JOIN sessions s ON s.id = g.session_id WHERE s.id IS NULL OR"
      " coalesce(s.summary, '') <> coalesce((SELECT group_concat(sentence, ' ') FROM"
      "  (SELECT sentence FROM summary_sentences t WHERE t.session_id = g.session_id ORDER BY number)), '')",
      "summaries are not the sentences that are kept of them");
  return faults;
}

}  // namespace reef::session
