#include "reef/retrieve/memory_layer.h"

#include <algorithm>
#include <cstring>
#include <numeric>

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
  if (embeddings_.rows() > 0 || !own_.empty()) {
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
  struct Read {
    session::Turn turn;
    std::uint32_t row = kNoRow;
    bool follows = false;  ///< the one read before it, in the same session
  };
  std::vector<Read> read;
  std::string session;
  auto select = database_.prepare(
      "SELECT id, source_session, speaker, importance, vector_row FROM memories INDEXED BY memories_search "
      "ORDER BY source_session, created_at, source_message, id");
  while (select.step()) {
    Read& memory = read.emplace_back();
    memory.turn.id = select.integer(0);
    memory.turn.speaker = map_.speaker(select.text(2));
    memory.turn.importance = static_cast<float>(select.real(3));
    if (!select.is_null(4)) memory.row = static_cast<std::uint32_t>(select.integer(4));
    memory.follows = !select.is_null(1) && read.size() > 1 && select.text(1) == session;
    session = select.text(1);
  }
  // Positions grow with ids, by which turns are looked up.
  std::vector<std::uint32_t> by_id(read.size()), position(read.size());
  std::iota(by_id.begin(), by_id.end(), 0);
  std::sort(by_id.begin(), by_id.end(), [&](auto a, auto b) { return read[a].turn.id < read[b].turn.id; });
  for (std::uint32_t i = 0; i < by_id.size(); ++i) position[by_id[i]] = i;
  std::vector<session::Turn> turns(read.size());
  rows_.resize(read.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    turns[position[i]] = read[i].turn;
    rows_[position[i]] = read[i].row;
  }
  for (std::size_t i = 1; i < read.size(); ++i) {
    if (!read[i].follows) continue;
    turns[position[i]].previous = position[i - 1];
    turns[position[i - 1]].next = position[i];
  }
  auto words = database_.prepare("SELECT id, sz FROM memories_fts_docsize ORDER BY id");
  for (auto turn = turns.begin(); words.step();) {
    while (turn != turns.end() && turn->id < words.integer(0)) ++turn;
    if (turn != turns.end() && turn->id == words.integer(0))
      turn->words = static_cast<std::uint16_t>(std::min<std::uint32_t>(text::words_in_row(words.blob(1)), UINT16_MAX));
  }
  load_vectors(turns);
  map_.assign(std::move(turns));
}

/// What embeddings.npy does not have yet (a run of consolidate is at work, or was killed) is read from the memories.
void MemoryStore::load_vectors(const std::vector<session::Turn>& turns) {
  positions_.assign(embeddings_.rows(), session::kNoTurn);
  const std::size_t dim = embeddings_.state().dim;
  auto select = database_.prepare("SELECT embedding FROM memories WHERE id = ?");
  for (std::uint32_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i] == kNoRow) continue;
    if (rows_[i] < positions_.size()) {
      positions_[rows_[i]] = i;
      continue;
    }
    rows_[i] = kNoRow;
    select.bind(1, turns[i].id);
    if (select.step() && dim > 0 && select.blob(0).size() == dim * sizeof(float)) {
      rows_[i] = static_cast<std::uint32_t>(positions_.size() + own_.size() / dim);
      own_.resize(own_.size() + dim);
      std::memcpy(own_.data() + own_.size() - dim, select.blob(0).data(), dim * sizeof(float));
      own_positions_.push_back(i);
    }
    select.reset();
  }
}

std::vector<std::uint32_t> MemoryStore::nearest(std::span<const float> query, std::size_t k) const {
  std::vector<std::uint32_t> found;
  if (embeddings_.rows() > 0)
    for (const vector::Hit& hit : vector::scan_exact(embeddings_.matrix(), query, k, 0, embeddings_.rows(), {}))
      if (positions_[hit.row] != session::kNoTurn) found.push_back(positions_[hit.row]);
  found.insert(found.end(), own_positions_.begin(), own_positions_.end());
  return found;
}

std::span<const float> MemoryStore::vector_of(std::uint32_t position) const {
  const std::uint32_t row = rows_[position];
  if (row == kNoRow) return {};
  if (row < positions_.size()) return embeddings_.matrix().row(row);
  const std::size_t dim = embeddings_.state().dim;
  return std::span(own_).subspan((row - positions_.size()) * dim, dim);
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
