#include "reef/memory/internal/loaded.h"

#include <algorithm>
#include <cstring>

namespace reef::memory {

Store::Loaded::Loaded(io::Database& database)
    : state(read_vector_state(database)),
      same_text(database, "SELECT id FROM memories WHERE content_hash = ? ORDER BY id"),
      one_memory(
          database,
          "SELECT content, speaker, slot, slot_value, created_at, embedding, valence FROM memories WHERE id = ?"),
      other_value(database,
                  "SELECT 1 FROM memories WHERE slot = ?1 AND slot_value <> ?2 AND created_at BETWEEN ?3 AND ?4"),
      count_rows(database, "UPDATE vector_state SET rows = ?"),
      insert_memory(database,
                    "INSERT INTO memories(persona_id, content, embedding, importance, recency, created_at, "
                    "source_session, source_message, tags, speaker, content_hash, vector_row, slot, slot_value, "
                    "valence, arousal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      insert_source(database,
                    "INSERT OR IGNORE INTO memory_sources(memory, message, session, external_id, speaker, created_at) "
                    "VALUES (?, ?, ?, ?, ?, ?)"),
      find_entity(database, "SELECT id FROM entities WHERE name = ? AND kind = ?"),
      insert_entity(database, "INSERT INTO entities(name, kind) VALUES (?, ?)"),
      mention(database, "INSERT OR IGNORE INTO memory_entities(memory, entity) VALUES (?, ?)"),
      insert_link(database, internal::kInsertLink),
      find_tombstone(database, "SELECT 1 FROM tombstones WHERE message = ?1 OR content_hash IN (?2, ?3)") {
  internal::load_neighbours(database, neighbours);
}

}  // namespace reef::memory

namespace reef::memory::internal {

std::vector<float> floats_of(std::span<const std::uint8_t> blob) {
  std::vector<float> values(blob.size() / sizeof(float));
  std::memcpy(values.data(), blob.data(), values.size() * sizeof(float));
  return values;
}

std::span<const std::uint8_t> bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()};
}

std::vector<std::int64_t> order_attribute(io::Database& database, std::int64_t slot) {
  struct Row {
    std::int64_t id, value;
    std::string created, valid_to;
    std::int64_t superseded_by;
  };
  std::vector<Row> rows;
  auto select = database.prepare(
      "SELECT id, slot_value, created_at, ifnull(valid_to, ''), ifnull(superseded_by, 0) FROM memories WHERE slot = ? "
      "ORDER BY created_at, id");
  select.bind(1, slot);
  while (select.step())
    rows.push_back({select.integer(0), select.integer(1), std::string(select.text(2)), std::string(select.text(3)),
                    select.integer(4)});
  select.reset();
  auto update = database.prepare("UPDATE memories SET valid_to = ?, superseded_by = ? WHERE id = ?");
  std::vector<std::int64_t> changed;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::size_t next = i + 1;
    while (next < rows.size() && rows[next].value == rows[i].value) ++next;
    const bool is_past = next < rows.size();
    if (is_past ? rows[i].superseded_by == rows[next].id && rows[i].valid_to == rows[next].created
                : rows[i].superseded_by == 0 && rows[i].valid_to.empty())
      continue;
    if (is_past)
      update.bind(1, rows[next].created).bind(2, rows[next].id);
    else
      update.bind_null(1).bind_null(2);
    update.bind(3, rows[i].id).run();
    changed.push_back(rows[i].id);
  }
  return changed;
}

void insert_links(io::Statement& insert, std::int64_t id, std::vector<Neighbour> near) {
  constexpr std::size_t kLinks = 5;
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.weight() > b.weight(); });
  for (std::size_t i = 0; i < std::min(kLinks, near.size()) && near[i].weight() > 0; ++i)
    insert.bind(1, id).bind(2, near[i].id).bind(3, std::min(1.0, near[i].weight())).run();
}

void load_neighbours(io::Database& database, Neighbours& neighbours,
                     const std::function<void(std::int64_t, std::vector<Neighbour>)>& visit) {
  const std::size_t bytes = read_vector_state(database).dim * sizeof(float);
  auto select = database.prepare("SELECT id, content, embedding FROM memories ORDER BY id");
  auto mentions = database.prepare("SELECT memory, entity FROM memory_entities ORDER BY memory, entity");
  bool more = mentions.step();
  while (select.step()) {
    const std::int64_t id = select.integer(0);
    std::vector<std::int64_t> entities;
    for (; more && mentions.integer(0) <= id; more = mentions.step())
      if (mentions.integer(0) == id) entities.push_back(mentions.integer(1));
    // One of another size, which `verify` finds, is like none.
    const std::vector<float> vector = select.blob(2).size() == bytes ? floats_of(select.blob(2)) : std::vector<float>();
    if (visit) visit(id, neighbours.find(vector, entities, select.text(1), kNearest));
    neighbours.add(id, vector, entities, select.text(1));
  }
}

}  // namespace reef::memory::internal
