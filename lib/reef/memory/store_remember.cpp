#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/memory/internal/loaded.h"
#include "reef/memory/internal/tags.h"
#include "reef/text/fold.h"

namespace reef::memory {
namespace {

/// What codes may err in a cosine, with a wide margin (.005 of random rows of 384 dimensions).
constexpr float kCodeError = .02F;

/// A row of `one_memory` that may be the same as a new one.
struct Known {
  std::string content, speaker, created;
  std::optional<Attribute> attribute;
  std::vector<float> vector;
  std::optional<double> valence;
};

Known read_known(io::Statement& select, std::int64_t id) {
  select.bind(1, id);
  if (!select.step()) throw Error(Errc::corrupt, fmt::format("memory {} is gone", shown_id(id)));
  Known known;
  known.content = select.text(0);
  known.speaker = select.text(1);
  if (!select.is_null(2)) known.attribute = Attribute{select.integer(2), select.integer(3)};
  known.created = select.text(4);
  known.vector = internal::floats_of(select.blob(5));
  if (!select.is_null(6)) known.valence = select.real(6);
  select.reset();
  return known;
}

/// Ids of the entities, sorted; those that nobody named before are new.
std::vector<std::int64_t> entity_ids(io::Database& database, io::Statement& find, io::Statement& insert,
                                     const std::vector<Entity>& entities) {
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < std::min(kMostEntities, entities.size()); ++i) {
    find.bind(1, entities[i].name).bind(2, entities[i].kind);
    if (find.step()) {
      ids.push_back(find.integer(0));
    } else {
      insert.bind(1, entities[i].name).bind(2, entities[i].kind).run();
      ids.push_back(database.last_insert_rowid());
    }
    find.reset();
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

void bind_optional(io::Statement& statement, int index, const std::optional<double>& value) {
  if (value)
    statement.bind(index, *value);
  else
    statement.bind_null(index);
}

void bind_text(io::Statement& statement, int index, const std::string& text) {
  if (text.empty())
    statement.bind_null(index);
  else
    statement.bind(index, text);
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

/// Neither says "I" or "you", or one speaker says both.
bool mean_one_speaker(const Statement& a, const std::string& a_speaker, const Statement& b,
                      const std::string& b_speaker) {
  return a_speaker == b_speaker || (!a.personal && !b.personal);
}

}  // namespace

/// Whether a memory of one attribute still says what it did when `memory` says it: of what was another way in between,
/// saying it again is news.
bool Store::stayed_so(const std::optional<Attribute>& said, const std::optional<Attribute>& known, Time when,
                      const std::string& known_time) {
  if (!said || !known || said->slot != known->slot) return true;
  if (said->value != known->value) return false;
  const std::string time = to_database_time(when);
  const auto [first, last] = std::minmax(known_time, time);
  io::Statement& other = loaded().other_value;
  other.bind(1, said->slot).bind(2, said->value).bind(3, first).bind(4, last);
  const bool changed = other.step();
  other.reset();
  return !changed;
}

std::optional<std::int64_t> Store::find_same_text(const NewMemory& memory, const Statement& statement,
                                                  const std::string& hash) {
  Loaded& all = loaded();
  std::vector<std::int64_t> ids;
  for (all.same_text.bind(1, hash); all.same_text.step();) ids.push_back(all.same_text.integer(0));
  all.same_text.reset();
  for (const std::int64_t id : ids) {
    const Known known = read_known(all.one_memory, id);
    if (mean_one_speaker(statement, memory.speaker, statement, known.speaker) &&
        stayed_so(statement.attribute, known.attribute, memory.created_at, known.created))
      return id;
  }
  return std::nullopt;
}

std::optional<std::int64_t> Store::find_same_meaning(const NewMemory& memory, const Statement& statement,
                                                     std::span<const std::int64_t> entities,
                                                     std::span<const internal::Neighbour> near) {
  if (memory.embedding.empty()) return std::nullopt;
  Loaded& all = loaded();
  const double threshold = duplicate_threshold();
  std::optional<std::int64_t> best;
  double best_cosine = threshold;
  for (const internal::Neighbour& other : near) {
    if (other.cosine < threshold - kCodeError) break;  // best first
    if (!std::ranges::equal(all.neighbours.entities_of(other.id), entities)) continue;
    const Known known = read_known(all.one_memory, other.id);
    const double exact = cosine(memory.embedding, known.vector);
    if (exact < best_cosine || (best && exact == best_cosine)) continue;
    const Statement theirs = read_statement(known.content, known.speaker);
    const bool opposed = memory.valence && known.valence && *memory.valence * *known.valence < 0 &&
                         std::abs(*memory.valence - *known.valence) > .5;
    if (opposed || !agree(statement, theirs)) continue;
    if (!mean_one_speaker(statement, memory.speaker, theirs, known.speaker)) continue;
    if (!stayed_so(statement.attribute, known.attribute, memory.created_at, known.created)) continue;
    best = other.id;
    best_cosine = exact;
  }
  return best;
}

/// Whether the memory says more than before.
bool Store::merge_into(std::int64_t id, const NewMemory& memory) {
  auto select = database_.prepare("SELECT tags, slot, created_at, importance FROM memories WHERE id = ?");
  select.bind(1, id).step();
  const std::string tags(select.text(0)), created = to_database_time(memory.created_at);
  const std::string more_tags = internal::tags_json(internal::parse_tags(tags), memory.tags);
  const std::optional<std::int64_t> slot = select.is_null(1) ? std::nullopt : std::optional(select.integer(1));
  const double importance = std::clamp(memory.importance, 0.0, 1.0);
  const bool older = created < select.text(2);
  const bool changed = older || tags != more_tags || importance > select.real(3);
  select.reset();
  if (!changed) return false;
  auto update = database_.prepare(
      "UPDATE memories SET importance = max(importance, ?2), created_at = min(created_at, ?3), tags = ?4 WHERE id = "
      "?1");
  update.bind(1, id).bind(2, importance).bind(3, created).bind(4, more_tags).run();
  if (slot && older) internal::order_attribute(database_, *slot);
  return true;
}

std::int64_t Store::insert(const NewMemory& memory, const std::optional<Attribute>& attribute,
                           const std::string& hash) {
  Loaded& all = loaded();
  io::Statement& row = all.insert_memory;
  row.bind(1, persona_).bind(2, to_valid_utf8(memory.content));
  if (memory.embedding.empty())
    row.bind_null(3).bind_null(12);
  else
    row.bind_blob(3, internal::bytes_of(memory.embedding)).bind(12, static_cast<std::int64_t>(all.state.rows));
  row.bind(4, std::clamp(memory.importance, 0.0, 1.0));
  row.bind(5, recency(memory.created_at, options_.now.value_or(now()), 0, options_.half_life_days));
  row.bind(6, to_database_time(memory.created_at)).bind_null(7).bind_null(8);
  if (memory.source) row.bind(7, memory.source->session).bind(8, memory.source->message);
  row.bind(9, internal::tags_json({}, memory.tags));
  bind_text(row, 10, memory.speaker);
  row.bind(11, hash).bind_null(13).bind_null(14);
  if (attribute) row.bind(13, attribute->slot).bind(14, attribute->value);
  bind_optional(row, 15, memory.valence);
  bind_optional(row, 16, memory.arousal);
  row.run();
  const std::int64_t id = database_.last_insert_rowid();
  if (!memory.embedding.empty()) all.count_rows.bind(1, static_cast<std::int64_t>(++all.state.rows)).run();
  return id;
}

void require_text(std::string_view content) {
  if (text::folded(content).empty())
    throw Error(Errc::usage, "there is no text to remember", "see 'reef-memory remember --help'");
}

Remembered Store::remember(const NewMemory& memory) {
  require_text(memory.content);
  if (!std::isfinite(memory.importance))
    throw Error(Errc::failed, fmt::format("memories of '{}': an importance that is no number", persona_));
  Loaded& all = loaded();
  if (!memory.embedding.empty()) require_unit_row(memory.embedding);
  const std::string hash = content_hash(memory.content), said = said_hash(memory.speaker, memory.content);
  const auto message = memory.source ? std::optional(memory.source->message) : std::nullopt;
  if (memory.even_if_forgotten)
    database_.prepare("DELETE FROM tombstones WHERE content_hash IN (?, ?)").bind(1, hash).bind(2, said).run();
  else if (is_hash_forgotten(message, hash, said))
    return {.outcome = Outcome::forgotten, .changed = false};

  const Statement statement = read_statement(memory.content, memory.speaker);
  const auto entities = entity_ids(database_, all.find_entity, all.insert_entity, memory.entities);
  auto duplicate = find_same_text(memory, statement, hash);
  std::vector<internal::Neighbour> near;
  if (!duplicate) {
    near = all.neighbours.find(memory.embedding, entities, memory.content, internal::kNearest, memory.scanned);
    duplicate = find_same_meaning(memory, statement, entities, near);
  }
  Remembered result;
  if (duplicate) {
    result = {.outcome = Outcome::merged, .id = *duplicate};
    result.changed = merge_into(result.id, memory);
  } else {
    result.id = insert(memory, statement.attribute, hash);
  }
  if (memory.source) {
    io::Statement& source = all.insert_source;
    source.bind(1, result.id).bind(2, memory.source->message).bind(3, memory.source->session);
    bind_text(source, 4, memory.source->external_id);
    bind_text(source, 5, memory.speaker);
    source.bind(6, to_database_time(memory.created_at)).run();
    result.changed |= database_.changes() > 0;
  }
  for (const std::int64_t entity : entities) {
    all.mention.bind(1, result.id).bind(2, entity).run();
    result.changed |= database_.changes() > 0;
  }
  if (duplicate) {
    all.neighbours.add_entities(result.id, entities);
    return result;
  }
  all.neighbours.add(result.id, memory.embedding, entities, memory.content);
  internal::insert_links(all.insert_link, result.id, std::move(near));
  if (statement.attribute) {
    for (const std::int64_t changed : internal::order_attribute(database_, statement.attribute->slot))
      if (changed != result.id) result.superseded = std::max(result.superseded, changed);
    auto later = database_.prepare("SELECT ifnull(superseded_by, 0) FROM memories WHERE id = ?");
    later.bind(1, result.id).step();
    result.superseded_by = later.integer(0);
    if (result.superseded > 0) result.outcome = Outcome::updated;
  }
  return result;
}

}  // namespace reef::memory
