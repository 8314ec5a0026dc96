#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "reef/io/sqlite.h"
#include "reef/session/turn_map.h"

namespace reef::memory {

/// What a search asks of every memory: positions in the order of their ids; those of one session are neighbours in the
/// order in which they were said.
struct SearchMap {
  static constexpr std::uint32_t kNoRow = UINT32_MAX;

  session::TurnMap turns;
  std::vector<std::uint32_t> rows;  ///< vector_row by position; kNoRow: no vector
};

/// As it was stored, or made of the memories where those changed since, or it is damaged.
SearchMap read_search_map(io::Database& memories);
/// None where memories changed since. Throws Error{corrupt} for one that cannot be.
std::optional<SearchMap> stored_search_map(io::Database& memories);
/// Of the memories, whatever is stored.
SearchMap make_search_map(io::Database& memories);
/// Stores it where memories changed since the last time, or `anew`. Returns whether it did. Outside a transaction.
bool store_search_map(io::Database& memories, bool anew);

/// SQL of what it is stored in, and of the triggers that say when it is out of date, whoever writes.
extern const char* const kSearchMapSchema;

}  // namespace reef::memory
