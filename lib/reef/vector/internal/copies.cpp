#include "reef/vector/internal/copies.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>

namespace reef::vector::internal {

Copies find_copies(const UniformCodes& codes) {
  struct Keyed {
    std::size_t hash;
    std::uint32_t row;
  };
  std::vector<Keyed> rows(codes.rows());
  for (std::uint32_t i = 0; i < rows.size(); ++i)
    rows[i] = {std::hash<std::string_view>()({reinterpret_cast<const char*>(codes.row(i)), codes.dim()}), i};
  const auto compare = [&](const Keyed& a, const Keyed& b) {
    return a.hash != b.hash ? (a.hash < b.hash ? -1 : 1) : std::memcmp(codes.row(a.row), codes.row(b.row), codes.dim());
  };
  std::sort(rows.begin(), rows.end(), [&](const Keyed& a, const Keyed& b) {
    const int order = compare(a, b);
    return order != 0 ? order < 0 : a.row < b.row;
  });
  Copies copies{std::vector<std::uint32_t>(rows.size()), std::vector<std::uint32_t>(rows.size(), Copies::kNone)};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint32_t row = rows[i].row;
    const bool copy = i > 0 && compare(rows[i - 1], rows[i]) == 0;
    copies.first[row] = copy ? copies.first[rows[i - 1].row] : row;
    if (copy) copies.next[rows[i - 1].row] = row;
  }
  return copies;
}

}  // namespace reef::vector::internal
