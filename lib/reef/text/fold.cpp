#include "reef/text/fold.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <new>

#include "reef/core/text.h"

namespace reef::text {
namespace {

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_ascii(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  return true;
}

std::string lower_ascii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return lower;
}

std::string lower_unicode(std::string_view text) {
  const std::string valid = to_valid_utf8(text);
  utf8proc_uint8_t* mapped = nullptr;
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                                   static_cast<utf8proc_ssize_t>(valid.size()), &mapped,
                                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE |
                                                                  UTF8PROC_CASEFOLD | UTF8PROC_IGNORE | UTF8PROC_LUMP));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> holder(mapped, &std::free);
  if (length < 0) throw std::bad_alloc();  // the only way to fail: the text is valid
  return {reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length)};
}

}  // namespace

std::string folded(std::string_view text) {
  std::string lower = is_ascii(text) ? lower_ascii(text) : lower_unicode(text);
  std::string result;
  result.reserve(lower.size());
  for (const char c : lower) {
    if (!is_blank(c))
      result += c;
    else if (!result.empty() && result.back() != ' ')
      result += ' ';
  }
  if (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

std::vector<std::string_view> words_of(std::string_view folded) {
  std::vector<std::string_view> words;
  const auto joins = [&](std::size_t at) {
    if (at == 0 || at + 1 >= folded.size()) return false;
    const char c = folded[at], before = folded[at - 1], after = folded[at + 1];
    if (c == '\'') return is_word(before) && is_word(after);
    return (c == '.' || c == ',') && is_digit(before) && is_digit(after);
  };
  for (std::size_t i = 0; i < folded.size();) {
    if (!is_word(folded[i])) {
      ++i;
      continue;
    }
    const std::size_t begin = i;
    while (i < folded.size() && (is_word(folded[i]) || joins(i))) ++i;
    words.push_back(folded.substr(begin, i - begin));
  }
  return words;
}

}  // namespace reef::text
