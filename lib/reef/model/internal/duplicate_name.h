#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace reef::model::internal {

/// Where names stood in a file, so that a duplicate found by sorting can be reported by byte.
struct PositionedName {
  std::string_view name;
  std::size_t position;
};

/// The second occurrence of a name that occurs twice; the earliest such in the file. Sorts `names`:
/// with hashing, chosen names could make it quadratic.
std::optional<PositionedName> duplicate_name(std::vector<PositionedName>& names);

}  // namespace reef::model::internal
