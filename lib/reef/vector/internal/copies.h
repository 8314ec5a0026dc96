#pragma once

#include <cstdint>
#include <vector>

#include "reef/vector/uniform_codes.h"

namespace reef::vector::internal {

/// Rows with equal codes, as chains in ascending order.
struct Copies {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  std::vector<std::uint32_t> first;  ///< of the rows equal to each, the lowest; itself where there is no other
  std::vector<std::uint32_t> next;   ///< and the next one, or kNone
};

Copies find_copies(const UniformCodes& codes);

}  // namespace reef::vector::internal
