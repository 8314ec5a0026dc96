#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace reef::embed::internal {

inline constexpr std::uint32_t kReplacement = 0xfffd;

struct Decoded {
  std::uint32_t code;
  std::size_t length;  ///< bytes taken, at least 1
};

/// The first code point of `text`, which is not empty. A sequence that is ill-formed gives U+FFFD
/// and the length of its longest well-formed beginning ("maximal subpart", The Unicode Standard,
/// section 3.9), as Python's errors="replace" does.
inline Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xc2 || lead > 0xf4) return {kReplacement, 1};
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte alone rules out overlong forms, surrogates and what lies past U+10FFFF.
  const std::uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const std::uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (text.size() < 2 || byte(1) < low || byte(1) > high) return {kReplacement, 1};
  std::uint32_t code = (lead & (0x7fu >> length)) << 6 | (byte(1) & 0x3fu);
  for (std::size_t i = 2; i < length; ++i) {
    if (i >= text.size() || (byte(i) & 0xc0) != 0x80) return {kReplacement, i};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  return {code, length};
}

/// Writes the UTF-8 of `code` to `out` (room for 4 bytes); returns its length.
inline std::size_t append_utf8(std::uint32_t code, char* out) {
  const auto put = [&](std::size_t at, std::uint32_t bits) { out[at] = static_cast<char>(bits); };
  if (code < 0x80) {
    put(0, code);
    return 1;
  }
  if (code < 0x800) {
    put(0, 0xc0 | code >> 6);
    put(1, 0x80 | (code & 0x3f));
    return 2;
  }
  if (code < 0x10000) {
    put(0, 0xe0 | code >> 12);
    put(1, 0x80 | (code >> 6 & 0x3f));
    put(2, 0x80 | (code & 0x3f));
    return 3;
  }
  put(0, 0xf0 | code >> 18);
  put(1, 0x80 | (code >> 12 & 0x3f));
  put(2, 0x80 | (code >> 6 & 0x3f));
  put(3, 0x80 | (code & 0x3f));
  return 4;
}

}  // namespace reef::embed::internal
