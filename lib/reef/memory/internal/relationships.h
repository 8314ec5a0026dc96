#pragma once

#include <string>

#include "reef/io/sqlite.h"

namespace reef::memory::internal {

/// The content of relationships.json: entities with how many memories mention each; relations, pairs of entities that
/// memories mention together, their weight the share of the memories that mention either which mention both; links
/// between memories.
std::string relationships_json(io::Database& memories);

}  // namespace reef::memory::internal
