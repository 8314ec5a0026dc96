#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace reef::text::internal {

/// ASCII white space, form feeds included.
constexpr bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_alpha(char c) { return is_upper(c) || is_lower(c); }
constexpr char to_lower(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view trimmed(std::string_view text);
bool is_blank(std::string_view text);
std::string lower_case(std::string_view ascii);
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// Runs of white space become one space; none at the ends.
std::string collapsed(std::string_view text);

/// The start of the UTF-8 character that holds byte `at` (text.size() stays).
std::size_t character_start(std::string_view text, std::size_t at);
/// Where the character that starts at `at` ends.
std::size_t character_end(std::string_view text, std::size_t at);

/// At most `limit` bytes of `text`, cut at the last white space when there is one in its second
/// half, else at a character border; trimmed.
std::string_view shortened(std::string_view text, std::size_t limit);

/// One line: white space collapsed, at most 512 bytes.
std::string tidy_title(std::string_view text);

/// Lines of `text` without their ends ("\n" or "\r\n").
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  std::optional<std::string_view> next();

 private:
  std::string_view rest_;
};

void append_utf8(std::string& out, char32_t code);

}  // namespace reef::text::internal
