#pragma once

#include <memory>
#include <string>

#include "reef/memory/embeddings_file.h"
#include "reef/memory/search_map.h"
#include "reef/retrieve/turn_layer.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::retrieve {

/// What a persona remembers, opened for questions: memories of one session are neighbours in the order in which they
/// were said. Superseded ones are found as well, and say until when they were valid.
class MemoryStore {
 public:
  /// Throws Error{not_found} when the persona has no memories.
  MemoryStore(const tree::Tree& tree, const tree::Config& config, std::string persona);
  static bool exists(const tree::Tree& tree, const std::string& persona);

  const std::string& persona() const { return persona_; }
  bool empty() const { return map_.turns.size() == 0; }
  const std::shared_ptr<Layer>& layer() const { return layer_; }
  /// dim is 0 while there are no vectors.
  const memory::VectorState& vectors() const { return embeddings_.state(); }

 private:
  void load_vectors();
  std::vector<std::uint32_t> nearest(std::span<const float> query, std::size_t k) const;
  std::span<const float> vector_of(std::uint32_t position) const;
  std::optional<Passage> fetch(std::int64_t id);

  std::string persona_;
  io::Database database_;
  memory::Embeddings embeddings_;
  text::PostingsFinder finder_;
  memory::SearchMap map_;                 ///< rows: of embeddings.npy, behind them of own_
  std::vector<std::uint32_t> positions_;  ///< by row of embeddings.npy
  std::vector<float> own_;                ///< rows that embeddings.npy does not have
  std::vector<std::uint32_t> own_positions_;
  std::shared_ptr<Layer> layer_;
};

}  // namespace reef::retrieve
