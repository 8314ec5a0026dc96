#include "reef/retrieve/memory_layer.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "reef/memory/inspect.h"
#include "reef/memory/schema.h"
#include "reef/session/store.h"
#include "reef/vector/scan.h"

namespace reef::retrieve {
namespace {

constexpr std::uint32_t kNoRow = UINT32_MAX;

}  // namespace

bool MemoryStore::exists(const tree::Tree& tree, const std::string& persona) {
  std::error_code ignored;
  return std::filesystem::exists(memory::memories_file(tree, persona), ignored);
}

MemoryStore::MemoryStore(const tree::Tree& tree, const tree::Config& config, std::string persona)
    : persona_(std::move(persona)),
      database_(memory::read_memories(tree, persona_)),
      embeddings_(tree.memories(persona_), database_),
      finder_(database_, "memories_fts") {
  load();
  TurnLayer::Source source;
  source.name = "memories";
  source.map = &map_;
  if (embeddings_.rows() > 0) {
    const auto& state = embeddings_.state();
    source.vectors.space = state.model_digest.empty() ? state.model : state.model_digest;
    source.vectors.nearest = [this](std::span<const float> query, std::size_t k) { return nearest(query, k); };
    source.vectors.of = [this](std::uint32_t position) { return vector_of(position); };
  }
  source.postings = [this](std::span<const std::string> terms) { return finder_.find(terms); };
  source.fetch = [this](std::int64_t id) { return fetch(id); };
  TurnWeights weights;
  weights.speaker = config.number("system", "retrieve.speaker_bonus");
  weights.importance = config.number("system", "retrieve.importance_bonus");
  layer_ = std::make_shared<TurnLayer>(std::move(source), weights);
}

void MemoryStore::load() {
  struct Said {
    std::int64_t session;
    std::string created;
    std::int64_t message;
    std::uint32_t position;
    bool operator<(const Said& other) const {
      return std::tie(session, created, message) < std::tie(other.session, other.created, other.message);
    }
  };
  std::vector<Said> said;
  std::vector<session::Turn> turns;
  std::unordered_map<std::string, std::int64_t> sessions;
  positions_.assign(embeddings_.rows(), session::kNoTurn);
  auto select = database_.prepare(
      "SELECT m.id, m.source_session, m.created_at, m.source_message, m.speaker, m.importance, m.vector_row, w.sz "
      "FROM memories m JOIN memories_fts_docsize w ON w.id = m.id ORDER BY m.id");
  while (select.step()) {
    const auto position = static_cast<std::uint32_t>(turns.size());
    session::Turn turn;
    turn.id = select.integer(0);
    turn.speaker = map_.speaker(select.text(4));
    turn.importance = static_cast<float>(select.real(5));
    turn.words = static_cast<std::uint16_t>(std::min<std::uint32_t>(text::words_in_row(select.blob(7)), UINT16_MAX));
    turns.push_back(turn);
    rows_.push_back(kNoRow);
    if (!select.is_null(6) && static_cast<std::uint64_t>(select.integer(6)) < positions_.size()) {
      rows_.back() = static_cast<std::uint32_t>(select.integer(6));
      positions_[rows_.back()] = position;
    }
    if (select.is_null(1)) continue;
    const auto session = sessions.emplace(select.text(1), sessions.size()).first->second;
    said.push_back({session, std::string(select.text(2)), select.integer(3), position});
  }
  std::sort(said.begin(), said.end());
  for (std::size_t i = 1; i < said.size(); ++i) {
    if (said[i].session != said[i - 1].session) continue;
    turns[said[i].position].previous = said[i - 1].position;
    turns[said[i - 1].position].next = said[i].position;
  }
  map_.assign(std::move(turns));
}

std::vector<std::uint32_t> MemoryStore::nearest(std::span<const float> query, std::size_t k) const {
  std::vector<std::uint32_t> found;
  for (const vector::Hit& hit : vector::scan_exact(embeddings_.matrix(), query, k, 0, embeddings_.rows(), {}))
    if (positions_[hit.row] != session::kNoTurn) found.push_back(positions_[hit.row]);
  return found;
}

std::span<const float> MemoryStore::vector_of(std::uint32_t position) const {
  return rows_[position] == kNoRow ? std::span<const float>() : embeddings_.matrix().row(rows_[position]);
}

std::optional<Passage> MemoryStore::fetch(std::int64_t id) {
  const memory::MemoryRow row = memory::require_memory(database_, id);
  Passage passage;
  passage.id = memory::shown_id(id);
  passage.title = row.speaker;
  passage.text = row.content;
  passage.document = passage.id;
  passage.scope = tree::Scope::persona(persona_).name();
  passage.created = session::rfc3339_of(row.created);
  MemoryFacts& facts = passage.memory.emplace();
  facts.id = id;
  facts.importance = row.importance;
  facts.speaker = row.speaker;
  facts.source_session = row.source_session;
  facts.external_ids = row.external_ids;
  facts.valid_to = row.valid_to.empty() ? "" : session::rfc3339_of(row.valid_to);
  facts.superseded_by = row.superseded_by;
  return passage;
}

}  // namespace reef::retrieve
