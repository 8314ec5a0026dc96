#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reef {

/// The candidate nearest to `word` in edit distance, if near enough to be what was meant.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

/// `bytes` as lower-case hexadecimal.
std::string to_hex(std::span<const std::uint8_t> bytes);

/// The bytes of an even number of hexadecimal digits; nullopt for anything else.
std::optional<std::vector<std::uint8_t>> from_hex(std::string_view digits);

/// Each ill-formed sequence replaced by U+FFFD, as the Unicode standard recommends (maximal
/// subparts), so that the result is always UTF-8. The same as Python's errors="replace".
std::string to_valid_utf8(std::string_view bytes);
bool is_valid_utf8(std::string_view bytes);
/// How many bytes precede the first ill-formed sequence; all of them when there is none.
std::size_t valid_utf8_prefix(std::string_view bytes);

}  // namespace reef
