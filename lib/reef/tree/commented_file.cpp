#include <fmt/format.h>

#include <algorithm>

#include "reef/tree/config.h"
#include "reef/tree/internal/value.h"

namespace reef::tree {
namespace {

std::string value_text(const ConfigKey& key) {
  if (*key.default_value != '\0') return fmt::format(" {}", key.default_value);
  return key.type == ValueType::list ? " []" : " \"\"";
}

/// " (number from 0 to 1)", where there is more to say than a type.
std::string limits_note(const ConfigKey& key) {
  if (key.limits.words.empty() && internal::range_text(key.limits).empty()) return "";
  return fmt::format(" ({})", type_text(key));
}

const char* type_name(ValueType type) {
  switch (type) {
    case ValueType::text:
      return "text";
    case ValueType::flag:
      return "flag";
    case ValueType::count:
      return "count";
    case ValueType::number:
      return "number";
    case ValueType::size:
      return "size";
    case ValueType::duration:
      return "duration";
    case ValueType::list:
      return "list";
  }
  return "";
}

}  // namespace

std::string type_text(const ConfigKey& key) {
  auto words = internal::words_of(key.limits);
  if (words.empty()) return type_name(key.type) + internal::range_text(key.limits);
  const std::string last = words.back();
  words.pop_back();
  const bool list = key.type == ValueType::list;
  return fmt::format("{}{} {} {}", list ? "list of " : "", fmt::join(words, ", "), list ? "and" : "or", last);
}

std::string commented_file(std::string_view file) {
  std::string out =
      fmt::format("# {}.yaml of reef; every key stands at its default. reef-config(5) tells more.\n", file);
  std::vector<std::string> open;  // the sections that the last key stood in
  for (const ConfigKey& key : config_keys()) {
    if (key.file != file) continue;
    std::vector<std::string> parts;
    for (std::string_view rest = key.path; !rest.empty();) {
      const auto dot = std::min(rest.find('.'), rest.size());
      parts.emplace_back(rest.substr(0, dot));
      rest.remove_prefix(std::min(rest.size(), dot + 1));
    }
    const auto star = std::find(parts.begin(), parts.end(), "*");
    std::size_t shared = 0;
    while (shared < open.size() && shared + 1 < parts.size() && open[shared] == parts[shared]) ++shared;
    open.assign(parts.begin(), parts.end() - 1);
    if (shared == 0) out += "\n";
    // Keys under a name of the operator's choice are an example: removing the '#'s makes it one.
    const std::size_t example_depth = static_cast<std::size_t>(star - parts.begin());
    const auto indent = [&](std::size_t depth) {
      return depth < example_depth
                 ? std::string(2 * depth, ' ')
                 : std::string(2 * example_depth, ' ') + "#" + std::string(2 * (depth - example_depth), ' ');
    };
    for (std::size_t depth = shared; depth < parts.size(); ++depth) {
      const bool last = depth + 1 == parts.size();
      if (last) out += fmt::format("{}# {}{}\n", indent(depth), key.why, limits_note(key));
      out += fmt::format("{}{}:{}\n", indent(depth), parts[depth] == "*" ? "NAME" : parts[depth],
                         last ? value_text(key) : "");
    }
  }
  return out;
}

}  // namespace reef::tree
