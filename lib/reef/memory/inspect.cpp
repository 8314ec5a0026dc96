#include "reef/memory/inspect.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/memory/internal/tags.h"

namespace reef::memory {
namespace {

constexpr const char* kColumns =
    "SELECT id, content, speaker, importance, created_at, valid_to, last_accessed, superseded_by, access_count, "
    "source_session, source_message, tags, embedding IS NOT NULL FROM memories";

MemoryRow read_row(io::Statement& row, io::Statement& sources, Time time, double half_life_days) {
  MemoryRow memory;
  memory.id = row.integer(0);
  memory.content = row.text(1);
  memory.speaker = row.text(2);
  memory.importance = row.real(3);
  memory.created = row.text(4);
  memory.valid_to = row.text(5);
  memory.last_accessed = row.text(6);
  memory.superseded_by = row.integer(7);
  memory.access_count = row.integer(8);
  memory.source_session = row.text(9);
  memory.tags = internal::parse_tags(row.text(11));
  memory.has_vector = row.integer(12) != 0;
  memory.recency = recency(parse_time(memory.created), time, memory.access_count, half_life_days);
  sources.bind(1, memory.id);
  while (sources.step()) {
    if (sources.is_null(1)) continue;
    memory.external_ids.emplace_back(sources.text(1));
    if (sources.integer(0) == row.integer(10)) memory.external_id = memory.external_ids.back();
  }
  sources.reset();
  return memory;
}

io::Statement sources_of(io::Database& memories) {
  return memories.prepare("SELECT message, external_id FROM memory_sources WHERE memory = ? ORDER BY message");
}

std::vector<MemorySource> read_sources(io::Database& memories, std::int64_t id) {
  std::vector<MemorySource> sources;
  auto select = memories.prepare(
      "SELECT message, session, external_id, speaker, created_at FROM memory_sources WHERE memory = ? "
      "ORDER BY created_at, message");
  for (select.bind(1, id); select.step();)
    sources.push_back({select.integer(0), std::string(select.text(1)), std::string(select.text(2)),
                       std::string(select.text(3)), std::string(select.text(4))});
  return sources;
}

std::vector<Decision> read_decisions(io::Database& memories, std::int64_t id) {
  std::vector<Decision> decisions;
  auto select = memories.prepare(
      "SELECT message, state, decided_at, score, logit, shift, emotion, request, novelty, nearest, reference, "
      "personal, answer, question, greeting, mentions, second_score, model, model_score, "
      "model_reason FROM decisions WHERE memory = ? ORDER BY rank");
  for (select.bind(1, id); select.step();) {
    Decision one;
    one.message = select.integer(0);
    one.state = select.text(1);
    one.decided_at = select.text(2);
    one.score = select.real(3);
    one.logit = select.real(4);
    one.shift = select.real(5);
    one.emotion = select.real(6);
    one.request = select.real(7);
    one.novelty = select.real(8);
    one.nearest = select.real(9);
    one.reference = select.real(10);
    one.personal = select.real(11);
    one.answer = select.integer(12) != 0;
    one.question = select.integer(13) != 0;
    one.greeting = select.integer(14) != 0;
    one.mentions = select.integer(15);
    if (!select.is_null(16)) one.second_score = select.real(16);
    one.model = select.text(17);
    one.model_score = select.real(18);
    one.model_reason = select.text(19);
    decisions.push_back(std::move(one));
  }
  return decisions;
}

std::vector<Version> read_history(io::Database& memories, std::int64_t id) {
  std::vector<Version> history;
  auto select = memories.prepare(
      "SELECT id, content, created_at, valid_to FROM memories WHERE slot = (SELECT slot FROM memories WHERE id = ?) "
      "ORDER BY created_at, id");
  for (select.bind(1, id); select.step();)
    history.push_back(
        {select.integer(0), std::string(select.text(1)), std::string(select.text(2)), std::string(select.text(3))});
  if (history.size() < 2) history.clear();
  return history;
}

}  // namespace

void list_memories(io::Database& memories, bool all, double half_life_days,
                   const std::function<void(MemoryRow&)>& on_memory) {
  const Time time = now();
  auto row = memories.prepare(fmt::format("{}{} ORDER BY id", kColumns, all ? "" : " WHERE superseded_by IS NULL"));
  auto sources = sources_of(memories);
  while (row.step()) {
    MemoryRow memory = read_row(row, sources, time, half_life_days);
    on_memory(memory);
  }
}

MemoryRow require_memory(io::Database& memories, std::int64_t id, double half_life_days) {
  auto row = memories.prepare(fmt::format("{} WHERE id = ?", kColumns));
  row.bind(1, id);
  if (!row.step())
    throw Error(Errc::not_found, fmt::format("there is no memory {}", shown_id(id)),
                "see 'reef-memory list --all'; what was forgotten is gone");
  auto sources = sources_of(memories);
  return read_row(row, sources, now(), half_life_days);
}

std::vector<Term> terms_of(const Decision& decision, const ImportanceOptions& weights) {
  return {{"emotion", decision.emotion, weights.emotion},
          {"request", decision.request, weights.request},
          {"novelty", decision.novelty, weights.novelty},
          {"unlike", 1 - decision.nearest, weights.unlike},
          {"reference", decision.reference, weights.reference},
          {"personal", decision.personal, weights.personal},
          {"answer", decision.answer ? 1.0 : 0.0, weights.answer},
          {"question", decision.question ? 1.0 : 0.0, weights.question},
          {"greeting", decision.greeting ? 1.0 : 0.0, weights.greeting},
          {"bias", 1, weights.bias}};
}

MemoryDetail show_memory(io::Database& memories, std::int64_t id, double half_life_days,
                         const ImportanceOptions& weights) {
  MemoryDetail detail;
  detail.weights = weights;
  detail.memory = require_memory(memories, id, half_life_days);
  auto feeling = memories.prepare("SELECT valence, arousal FROM memories WHERE id = ?");
  feeling.bind(1, id).step();
  if (!feeling.is_null(0)) detail.valence = feeling.real(0);
  if (!feeling.is_null(1)) detail.arousal = feeling.real(1);
  detail.sources = read_sources(memories, id);
  detail.decisions = read_decisions(memories, id);
  auto entity = memories.prepare(
      "SELECT e.name, e.kind FROM memory_entities m JOIN entities e ON e.id = m.entity WHERE m.memory = ? ORDER BY "
      "e.id");
  for (entity.bind(1, id); entity.step();)
    detail.entities.push_back({std::string(entity.text(0)), std::string(entity.text(1))});
  detail.links = links_of(memories, id).links;
  detail.history = read_history(memories, id);
  return detail;
}

LinkList links_of(io::Database& memories, std::int64_t id) {
  require_memory(memories, id);
  LinkList list{id, {}};
  auto select = memories.prepare(
      "SELECT m.id, l.weight, l.manual, m.content FROM links l JOIN memories m ON m.id = l.memory + l.other - ?1 "
      "WHERE l.memory = ?1 OR l.other = ?1 ORDER BY l.weight DESC, m.id");
  for (select.bind(1, id); select.step();)
    list.links.push_back({select.integer(0), select.real(1), select.integer(2) != 0, std::string(select.text(3))});
  return list;
}

LinkReport link(Store& store, std::int64_t from, std::int64_t to) {
  if (from == to)
    throw Error(Errc::usage, fmt::format("{} cannot be linked to itself", shown_id(from)), "name two memories");
  io::Database& database = store.database();
  require_memory(database, from);
  require_memory(database, to);
  LinkReport report{from, to, false};
  io::Transaction transaction(database);
  // Links that remember() makes lead from the newer memory to the older one.
  auto insert = database.prepare(
      "INSERT INTO links(memory, other, weight, manual) VALUES (?, ?, 1, 1) ON CONFLICT DO UPDATE SET weight = 1, "
      "manual = 1 WHERE NOT manual");
  insert.bind(1, std::max(from, to)).bind(2, std::min(from, to)).run();
  report.changed = database.changes() > 0;
  transaction.commit();
  return report;
}

}  // namespace reef::memory
