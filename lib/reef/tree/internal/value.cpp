#include "reef/tree/internal/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/core/units.h"

namespace reef::tree::internal {
namespace {

void check_word(const Limits& limits, const std::string& word) {
  if (limits.words.empty()) return;
  const auto words = words_of(limits);
  if (std::find(words.begin(), words.end(), word) != words.end()) return;
  const auto meant = nearest(word, words);
  throw Error(Errc::usage,
              fmt::format("unknown value '{}'{}", word, meant ? fmt::format(", did you mean '{}'?", *meant) : ""),
              fmt::format("it takes {}; reef-config(5) explains them", fmt::join(words, ", ")));
}

void check_range(const Limits& limits, double value, const std::string& text) {
  if (value >= limits.min && value <= limits.max) return;
  throw Error(Errc::usage, fmt::format("'{}' is out of range", text),
              fmt::format("it takes a value{}", range_text(limits)));
}

}  // namespace

double parse_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    throw Error(Errc::usage, fmt::format("'{}' is no number", text));
  return value;
}

bool parse_flag(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  throw Error(Errc::usage, fmt::format("'{}' is neither true nor false", text));
}

std::vector<std::string> words_of(const Limits& limits) {
  std::vector<std::string> words;
  for (std::string_view rest = limits.words; !rest.empty();) {
    const auto end = std::min(rest.find(' '), rest.size());
    words.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return words;
}

std::string range_text(const Limits& limits) {
  std::string text;
  if (std::isfinite(limits.min)) text += fmt::format(" from {:g}", limits.min);
  if (std::isfinite(limits.max)) text += fmt::format(" to {:g}", limits.max);
  return text;
}

void check_value(const ConfigKey& key, const std::string& text) {
  switch (key.type) {
    case ValueType::text:
      // "" stands in the commented files where there is no default.
      if (!text.empty() || *key.default_value != '\0') check_word(key.limits, text);
      return;
    case ValueType::list:
      check_word(key.limits, text);
      return;
    case ValueType::flag:
      parse_flag(text);
      return;
    case ValueType::count:
      check_range(key.limits, static_cast<double>(parse_count(text, "the value")), text);
      return;
    case ValueType::number:
      check_range(key.limits, parse_number(text), text);
      return;
    case ValueType::size:
      check_range(key.limits, static_cast<double>(parse_size(text)), text);
      return;
    case ValueType::duration:
      check_range(key.limits, std::chrono::duration<double>(parse_duration(text)).count(), text);
      return;
  }
}

}  // namespace reef::tree::internal
