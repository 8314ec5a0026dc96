#include "reef/core/internal/utf8.h"

#include <cstdint>
#include <cstring>

namespace reef::internal {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

/// What the first byte of a sequence says about the rest; length 0: it begins none.
struct Lead {
  std::size_t length;
  unsigned char second_low;   ///< smallest second byte (rules out overlong forms)
  unsigned char second_high;  ///< largest second byte (rules out surrogates and > U+10FFFF)
  unsigned char payload;      ///< mask of the bits that belong to the character
};

Lead lead_of(unsigned char first) {
  if (first >= 0xC2 && first <= 0xDF) return {2, 0x80, 0xBF, 0x1F};
  if (first == 0xE0) return {3, 0xA0, 0xBF, 0x0F};
  if (first == 0xED) return {3, 0x80, 0x9F, 0x0F};
  if (first >= 0xE1 && first <= 0xEF) return {3, 0x80, 0xBF, 0x0F};
  if (first == 0xF0) return {4, 0x90, 0xBF, 0x07};
  if (first >= 0xF1 && first <= 0xF3) return {4, 0x80, 0xBF, 0x07};
  if (first == 0xF4) return {4, 0x80, 0x8F, 0x07};
  return {0, 0, 0, 0};
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return {first, 1, true};
  const Lead lead = lead_of(first);
  char32_t code = first & lead.payload;
  for (std::size_t i = 1; i < lead.length; ++i) {
    const auto byte = static_cast<unsigned char>(i < text.size() ? text[i] : 0);
    const bool fits = i == 1 ? byte >= lead.second_low && byte <= lead.second_high : (byte & 0xC0) == 0x80;
    if (!fits) return {kReplacement, i, false};
    code = (code << 6) | (byte & 0x3FU);
  }
  if (lead.length == 0) return {kReplacement, 1, false};
  return {code, lead.length, true};
}

std::size_t ascii_prefix(std::string_view text) {
  std::size_t i = 0;
  for (; i + sizeof(std::uint64_t) <= text.size(); i += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, sizeof word);
    if ((word & 0x8080808080808080U) != 0) break;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

}  // namespace reef::internal
