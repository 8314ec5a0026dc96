#include "reef/model/internal/duplicate_name.h"

#include <algorithm>

namespace reef::model::internal {

std::optional<PositionedName> duplicate_name(std::vector<PositionedName>& names) {
  const auto before = [](const PositionedName& a, const PositionedName& b) {
    return a.name != b.name ? a.name < b.name : a.position < b.position;
  };
  if (!std::is_sorted(names.begin(), names.end(), before)) std::sort(names.begin(), names.end(), before);
  std::optional<PositionedName> found;
  for (std::size_t i = 1; i < names.size(); ++i) {
    if (names[i].name == names[i - 1].name && (!found || names[i].position < found->position)) found = names[i];
  }
  return found;
}

}  // namespace reef::model::internal
