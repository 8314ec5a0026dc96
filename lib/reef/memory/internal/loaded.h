#pragma once

#include <functional>

#include "reef/memory/embeddings_file.h"
#include "reef/memory/internal/neighbours.h"
#include "reef/memory/statement.h"
#include "reef/memory/store.h"

namespace reef::memory {

/// What a Store reads once, and the statements that it runs for every memory.
struct Store::Loaded {
  explicit Loaded(io::Database& database);

  VectorState state;
  internal::Neighbours neighbours;
  io::Statement same_text, one_memory, other_value, count_rows, insert_memory, insert_source, find_entity,
      insert_entity, mention, insert_link, find_tombstone;
};

}  // namespace reef::memory

namespace reef::memory::internal {

/// How many by cosine are looked at for a duplicate, and for links.
inline constexpr std::size_t kNearest = 16;

/// A column that holds a vector as floats.
std::vector<float> floats_of(std::span<const std::uint8_t> blob);
std::span<const std::uint8_t> bytes_of(std::span<const float> values);

/// Puts the memories that say something of one attribute in the order of their times: each is valid until one of
/// another value was said. Returns the ids whose rows changed.
std::vector<std::int64_t> order_attribute(io::Database& database, std::int64_t slot);

/// Links of memory `id` to the five that lie nearest among `near`.
void insert_links(io::Statement& insert, std::int64_t id, std::vector<Neighbour> near);
inline constexpr const char* kInsertLink = "INSERT OR IGNORE INTO links(memory, other, weight) VALUES (?, ?, ?)";

/// Reads all memories into `neighbours`; with `visit`, calls it before each is added, with what lies near it.
void load_neighbours(io::Database& database, Neighbours& neighbours,
                     const std::function<void(std::int64_t, std::vector<Neighbour>)>& visit = {});

}  // namespace reef::memory::internal
