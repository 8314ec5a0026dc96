#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "reef/model/internal/element_type.h"

namespace reef::model::internal {

struct ElementDifferences {
  std::uint64_t bytes = 0;
  std::uint64_t elements = 0;   ///< whose bits differ
  std::uint64_t nonfinite = 0;  ///< of these, the ones whose difference is no number or infinite
  double largest = 0;           ///< absolute difference of the others

  void add(const ElementDifferences& more);
};

/// Compares bytes of one length, whole elements where the type has such. Without a type, or one of elements that share
/// bytes, only bytes are counted; the rest of the fields beside `elements` is for floats of 16 bits and more.
ElementDifferences compare_elements(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b,
                                    const std::optional<ElementType>& type);

}  // namespace reef::model::internal
