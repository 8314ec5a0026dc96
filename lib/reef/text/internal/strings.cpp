#include "reef/text/internal/strings.h"

#include <algorithm>

namespace reef::text::internal {
namespace {

constexpr std::size_t kTitleBytes = 512;

constexpr bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

}  // namespace

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool is_blank(std::string_view text) { return std::all_of(text.begin(), text.end(), is_space); }

std::string lower_case(std::string_view ascii) {
  std::string out(ascii);
  std::transform(out.begin(), out.end(), out.begin(), to_lower);
  return out;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return to_lower(x) == to_lower(y); });
}

std::string collapsed(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool space = false;
  for (const char c : text) {
    if (is_space(c)) {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += c;
  }
  return out;
}

std::size_t character_start(std::string_view text, std::size_t at) {
  if (at >= text.size()) return text.size();
  for (int steps = 0; steps < 3 && at > 0 && is_continuation(text[at]); ++steps) --at;
  return at;
}

std::size_t character_end(std::string_view text, std::size_t at) {
  std::size_t end = std::min(at + 1, text.size());
  for (int steps = 0; steps < 3 && end < text.size() && is_continuation(text[end]); ++steps) ++end;
  return end;
}

std::string_view shortened(std::string_view text, std::size_t limit) {
  text = trimmed(text);
  if (text.size() <= limit) return text;
  std::size_t cut = character_start(text, limit);
  for (std::size_t at = cut; at > limit / 2; --at) {
    if (is_space(text[at])) {
      cut = at;
      break;
    }
  }
  return trimmed(text.substr(0, cut));
}

std::string tidy_title(std::string_view text) {
  // Collapsing a title of megabytes would copy it for nothing.
  const std::string line = collapsed(text.substr(0, character_start(text, 4 * kTitleBytes)));
  return std::string(shortened(line, kTitleBytes));
}

std::optional<std::string_view> Lines::next() {
  if (rest_.empty()) return std::nullopt;
  const std::size_t end = rest_.find('\n');
  std::string_view line = rest_.substr(0, end);
  rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

void append_utf8(std::string& out, char32_t code) {
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) code = 0xFFFD;
  const auto put = [&out](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace reef::text::internal
