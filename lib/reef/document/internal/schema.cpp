#include "reef/document/internal/schema.h"

namespace reef::document::internal {

std::uint32_t sum_of_varints(std::span<const std::uint8_t> bytes) {
  std::uint64_t sum = 0, value = 0;
  for (const std::uint8_t byte : bytes) {
    value = value << 7 | (byte & 0x7fu);
    if ((byte & 0x80u) != 0) continue;
    sum += value;
    value = 0;
  }
  return static_cast<std::uint32_t>(sum < UINT32_MAX ? sum : UINT32_MAX);
}

}  // namespace reef::document::internal
