#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace reef::model::internal {

struct GgmlTypeRow {
  std::string_view name;
  std::uint32_t block_elements;  ///< 0: ggml removed the type
  std::uint32_t block_bytes;
};

/// Every type that ggml has or had, by its number.
std::span<const GgmlTypeRow> ggml_types();

}  // namespace reef::model::internal
