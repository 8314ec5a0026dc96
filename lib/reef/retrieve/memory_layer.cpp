#include "reef/retrieve/memory_layer.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include "reef/memory/inspect.h"
#include "reef/memory/schema.h"
#include "reef/session/store.h"
#include "reef/vector/scan.h"

namespace reef::retrieve {
namespace {

constexpr std::uint32_t kNoRow = memory::SearchMap::kNoRow;

}  // namespace

bool MemoryStore::exists(const tree::Tree& tree, const std::string& persona) {
  std::error_code ignored;
  return std::filesystem::exists(memory::memories_file(tree, persona), ignored);
}

MemoryStore::MemoryStore(const tree::Tree& tree, const tree::Config& config, std::string persona)
    : persona_(std::move(persona)),
      database_(memory::read_memories(tree, persona_)),
      embeddings_(tree.memories(persona_), database_),
      finder_(database_, "memories_fts"),
      map_(memory::read_search_map(database_)) {
  load_vectors();
  TurnLayer::Source source;
  source.name = "memories";
  source.map = &map_.turns;
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

/// What embeddings.npy does not have yet (a run of consolidate is at work, or was killed) is read from the memories.
void MemoryStore::load_vectors() {
  std::vector<std::uint32_t>& rows = map_.rows;
  positions_.assign(embeddings_.rows(), session::kNoTurn);
  const std::size_t dim = embeddings_.state().dim;
  auto select = database_.prepare("SELECT embedding FROM memories WHERE id = ?");
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    if (rows[i] == kNoRow) continue;
    if (rows[i] < positions_.size()) {
      positions_[rows[i]] = i;
      continue;
    }
    rows[i] = kNoRow;
    select.bind(1, map_.turns[i].id);
    if (select.step() && dim > 0 && select.blob(0).size() == dim * sizeof(float)) {
      rows[i] = static_cast<std::uint32_t>(positions_.size() + own_.size() / dim);
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
    for (const vector::Hit& hit :
         vector::scan_exact(embeddings_.matrix(), query, k, std::thread::hardware_concurrency()))
      if (positions_[hit.row] != session::kNoTurn) found.push_back(positions_[hit.row]);
  found.insert(found.end(), own_positions_.begin(), own_positions_.end());
  return found;
}

std::span<const float> MemoryStore::vector_of(std::uint32_t position) const {
  const std::uint32_t row = map_.rows[position];
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
