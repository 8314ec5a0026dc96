#include "reef/tree/internal/edit.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/tree/config.h"

namespace reef::tree::internal {
namespace {

constexpr std::size_t kIndent = 2;  ///< of a mapping that has no entry yet to take after

/// A line to be added, so many levels below the mapping that it goes into.
struct NewLine {
  std::size_t level;
  std::string text;
};

struct Entry {
  YAML::Node key, value;
};

bool is_block(const YAML::Node& node) { return node.IsMap() && node.Style() == YAML::EmitterStyle::Block; }
std::size_t line_of(const YAML::Node& node) { return static_cast<std::size_t>(node.Mark().line); }
std::size_t column_of(const YAML::Node& node) { return static_cast<std::size_t>(node.Mark().column); }

std::optional<Entry> find(const YAML::Node& mapping, const std::string& name) {
  for (const auto& entry : mapping)
    if (entry.first.IsScalar() && entry.first.Scalar() == name) return Entry{entry.first, entry.second};
  return std::nullopt;
}

/// Knows where yaml-cpp found things and changes the lines there. What it cannot change it answers
/// with false; what it gets wrong (yaml-cpp tells where a value begins, not where it ends) is found
/// by the caller, who reads the result.
class LineEditor {
 public:
  explicit LineEditor(const std::string& text) : root_(YAML::Load(text)) {
    for (std::string_view rest = text; !rest.empty();) {
      const auto end = std::min(rest.find('\n'), rest.size() - 1) + 1;
      lines_.emplace_back(rest.substr(0, end));
      rest.remove_prefix(end);
    }
    if (text.find("\r\n") != std::string::npos) line_end_ = "\r\n";
  }

  std::string text() const { return fmt::format("{}", fmt::join(lines_, "")); }
  /// The place that the last edit was about, from 1.
  std::size_t line() const { return line_ + 1; }

  bool set(const std::string& section, const std::string& key, const std::string& value) {
    const auto parent = section.empty() ? Entry{{}, root_} : find(root_, section).value_or(Entry{});
    const auto entry = parent.value.IsMap() ? find(parent.value, key) : std::nullopt;
    if (!entry) return add(section, {{0, fmt::format("{}: {}", key, value)}});
    line_ = line_of(entry->key);
    if (entry->value.IsNull()) return replace(entry->key, key + ":", fmt::format("{}: {}", key, value));
    if (!entry->value.IsScalar()) return false;
    const std::string& old = entry->value.Scalar();
    return replace(entry->value, old, value) || replace(entry->value, '"' + old + '"', value) ||
           replace(entry->value, '\'' + old + '\'', value);
  }

  /// Adds an entry at the end of a section, or of the file when `section` is "".
  bool add(const std::string& section, const std::vector<NewLine>& entry) {
    if (!root_.IsNull() && !is_block(root_)) return false;
    const std::size_t margin = root_.IsNull() ? 0 : first_column(root_);
    if (section.empty()) return insert(lines_.size(), margin, kIndent, entry);
    const auto found = root_.IsNull() ? std::nullopt : find(root_, section);
    if (!found) {
      insert(lines_.size(), margin, kIndent, {{0, section + ":"}});
      return insert(lines_.size(), margin + kIndent, kIndent, entry);
    }
    line_ = line_of(found->key);
    if (found->value.IsMap() && found->value.size() == 0) {
      // "personas: {}" would close the mapping that the entry belongs into.
      if (!replace(found->key, section + ": {}", section + ":")) return false;
    } else if (!found->value.IsNull() && !is_block(found->value)) {
      return false;
    }
    const bool has_entries = is_block(found->value) && found->value.size() > 0;
    const std::size_t indent = has_entries ? first_column(found->value) : margin + kIndent;
    return insert(end_of_block(line_of(found->key), margin), indent, step_of(found->value, indent, margin), entry);
  }

  /// Adds an item to the list `key` of an entry of a section.
  bool append(const std::string& section, const std::string& name, const std::string& key, const std::string& item) {
    const auto parent = root_.IsMap() ? find(root_, section) : std::nullopt;
    const auto entry = entry_of(section, name);
    if (!entry) return false;
    line_ = line_of(entry->key);
    const std::string whole = fmt::format("{}: [{}]", key, item);
    if (entry->value.IsNull()) {
      const std::size_t margin = column_of(entry->key);
      return insert(line_ + 1, margin + step_of(parent->value, margin, first_column(root_)), kIndent, {{0, whole}});
    }
    if (!entry->value.IsMap()) return false;
    if (const auto list = find(entry->value, key)) return append_to(*list, key, item);
    if (is_block(entry->value)) {
      const std::size_t end = end_of_block(line_, column_of(entry->key));
      return insert(end, first_column(entry->value), kIndent, {{0, whole}});
    }
    return replace(entry->value, entry->value.size() == 0 ? "{}" : "{",
                   entry->value.size() == 0 ? fmt::format("{{{}}}", whole) : fmt::format("{{{}, ", whole));
  }

  /// Sets a value in an entry of a section.
  bool set_in(const std::string& section, const std::string& name, const std::string& key, const std::string& value) {
    const auto entry = entry_of(section, name);
    if (!entry || !is_block(entry->value)) return false;
    line_ = line_of(entry->key);
    const auto old = find(entry->value, key);
    if (old) return old->value.IsScalar() && replace_scalar(old->value, value);
    return insert(end_of_block(line_, column_of(entry->key)), first_column(entry->value), kIndent,
                  {{0, fmt::format("{}: {}", key, value)}});
  }

  /// Gives an entry of a section another name, and its value `key` too where that was the old one.
  bool rename(const std::string& section, const std::string& from, const std::string& to, const std::string& key) {
    const auto entry = entry_of(section, from);
    if (!entry) return false;
    line_ = line_of(entry->key);
    if (const auto same = entry->value.IsMap() ? find(entry->value, key) : std::nullopt;
        same && same->value.IsScalar() && same->value.Scalar() == from && !replace_scalar(same->value, to))
      return false;
    return replace_scalar(entry->key, to);
  }

  bool remove(const std::string& section, const std::string& name) {
    const auto entry = entry_of(section, name);
    if (!entry || !is_block(find(root_, section)->value)) return false;
    line_ = line_of(entry->key);
    const auto begin = lines_.begin() + static_cast<std::ptrdiff_t>(line_);
    lines_.erase(begin, lines_.begin() + static_cast<std::ptrdiff_t>(end_of_block(line_, column_of(entry->key))));
    return true;
  }

 private:
  std::optional<Entry> entry_of(const std::string& section, const std::string& name) const {
    const auto parent = root_.IsMap() ? find(root_, section) : std::nullopt;
    return parent && parent->value.IsMap() ? find(parent->value, name) : std::nullopt;
  }

  bool replace_scalar(const YAML::Node& node, const std::string& text) {
    const std::string& old = node.Scalar();
    return replace(node, '"' + old + '"', text) || replace(node, '\'' + old + '\'', text) || replace(node, old, text);
  }

  bool append_to(const Entry& list, const std::string& key, const std::string& item) {
    line_ = line_of(list.key);
    if (list.value.IsNull()) return replace(list.key, key + ":", fmt::format("{}: [{}]", key, item));
    if (!list.value.IsSequence()) return false;
    if (list.value.size() == 0) return replace(list.value, "[]", fmt::format("[{}]", item));
    const YAML::Node last = list.value[list.value.size() - 1];
    if (!last.IsScalar()) return false;
    line_ = line_of(last);
    if (list.value.Style() == YAML::EmitterStyle::Block)
      return insert(line_ + 1, column_of(list.value), kIndent, {{0, "- " + item}});
    for (const std::string quote : {"", "\"", "'"}) {
      const std::string old = quote + last.Scalar() + quote;
      if (replace(last, old, fmt::format("{}, {}", old, item))) return true;
    }
    return false;
  }

  static std::size_t first_column(const YAML::Node& mapping) { return column_of(mapping.begin()->first); }

  /// How much deeper the keys of an entry stand than the entry itself.
  static std::size_t step_of(const YAML::Node& mapping, std::size_t indent, std::size_t margin) {
    if (mapping.IsMap()) {
      for (const auto& entry : mapping)
        if (is_block(entry.second) && first_column(entry.second) > indent) return first_column(entry.second) - indent;
    }
    return indent - margin;
  }

  /// The line after the last one that stands deeper than `margin`, the column of the key at `first`.
  /// So comments at the margin stay with the key that follows them.
  std::size_t end_of_block(std::size_t first, std::size_t margin) const {
    std::size_t end = first + 1;
    for (std::size_t at = end; at < lines_.size(); ++at) {
      const std::size_t column = lines_[at].find_first_not_of(" \t\r\n");
      if (column == std::string::npos) continue;
      if (column > margin)
        end = at + 1;
      else if (lines_[at][column] != '#')
        break;
    }
    return end;
  }

  bool insert(std::size_t at, std::size_t indent, std::size_t step, const std::vector<NewLine>& added) {
    if (at > 0 && !lines_[at - 1].ends_with('\n')) lines_[at - 1] += line_end_;
    for (const NewLine& line : added) {
      const std::string text = std::string(indent + line.level * step, ' ') + line.text + line_end_;
      lines_.insert(lines_.begin() + static_cast<std::ptrdiff_t>(at++), text);
    }
    return true;
  }

  bool replace(const YAML::Node& node, const std::string& old, const std::string& text) {
    if (line_of(node) >= lines_.size()) return false;
    std::string& line = lines_[line_of(node)];
    if (line.compare(std::min(column_of(node), line.size()), old.size(), old) != 0) return false;
    line.replace(column_of(node), old.size(), text);
    return true;
  }

  YAML::Node root_;
  std::vector<std::string> lines_;
  std::string line_end_ = "\n";
  std::size_t line_ = 0;
};

using Values = std::map<std::string, std::string>;

Values values_of(const ConfigText& config, const std::string& text) {
  Values values;
  for (auto& [key, value] : Config::parse(config.file, text, config.shown).all()) values[key] = std::move(value.text);
  return values;
}

/// Whether `text` says all that `config` says, and `wanted` besides.
bool says(const ConfigText& config, const std::string& text, const Values& wanted) {
  Values expected = values_of(config, config.text);
  for (const auto& [key, value] : wanted) expected[key] = value;
  try {
    const Values found = values_of(config, text);
    return std::all_of(expected.begin(), expected.end(), [&](const auto& entry) {
      const auto same = found.find(entry.first);
      return same != found.end() && same->second == entry.second;
    });
  } catch (const Error&) {
    return false;
  }
}

[[noreturn]] void throw_by_hand(const ConfigText& config, std::size_t line, const std::string& what,
                                const std::string& section, const std::string& text) {
  throw Error(Errc::usage, fmt::format("{}:{}: {} YAML of this form", config.shown, line, what),
              fmt::format("nothing was changed; write {} {} by hand, then run the command again", text,
                          section.empty() ? "at the top level" : fmt::format("under '{}'", section)));
}

/// An id that is a word of YAML must be quoted to be text.
std::string quoted(const std::string& id) { return id == "null" ? "\"null\"" : id; }

/// Any text as YAML reads it.
std::string quoted_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? fmt::format("\\x{:02x}", static_cast<unsigned>(c)) : std::string(1, c);
  }
  return out + '"';
}

/// Whether `text` says just what is expected.
bool says_just(const ConfigText& config, const std::string& text, const Values& expected) {
  try {
    return values_of(config, text) == expected;
  } catch (const Error&) {
    return false;
  }
}

std::string head_of(const std::string& id) { return fmt::format("personas: personas.{}.", id); }

}  // namespace

std::string with_setting(const ConfigText& config, const std::string& section, const std::string& key,
                         const std::string& value) {
  const std::string path = section.empty() ? key : section + "." + key;
  LineEditor editor(config.text);
  if (editor.set(section, key, value) &&
      says(config, editor.text(), {{fmt::format("{}: {}", config.file, path), value}}))
    return editor.text();
  throw_by_hand(config, editor.line(), fmt::format("{} cannot be set in", path), section,
                fmt::format("'{}: {}'", key, value));
}

std::string with_persona(const ConfigText& config, const std::string& id, const std::string& created) {
  const std::string name = quoted(id), head = fmt::format("personas: personas.{}.", id);
  LineEditor editor(config.text);
  if (editor.add("personas", {{0, name + ":"}, {1, "name: " + name}, {1, fmt::format("created: \"{}\"", created)}}) &&
      says(config, editor.text(), {{head + "name", id}, {head + "created", created}}))
    return editor.text();
  throw_by_hand(config, editor.line(), fmt::format("persona '{}' cannot be added to", id), "personas",
                fmt::format("'{0}: {{name: {0}}}'", name));
}

std::string with_persona_item(const ConfigText& config, const std::string& id, const std::string& key,
                              const std::string& item) {
  const std::string path = fmt::format("personas.{}.{}", id, key), word = quoted(item);
  std::vector<std::string> items = Config::parse(config.file, config.text, config.shown).list(config.file, path);
  items.push_back(item);
  LineEditor editor(config.text);
  if (editor.append("personas", id, key, word) &&
      says(config, editor.text(),
           {{fmt::format("{}: {}", config.file, path), fmt::format("{}", fmt::join(items, "\n"))}}))
    return editor.text();
  throw_by_hand(config, editor.line(), fmt::format("'{}' cannot be added to {} in", item, path),
                fmt::format("personas.{}", id), fmt::format("'{}: [{}]'", key, fmt::join(items, ", ")));
}

std::string with_persona_value(const ConfigText& config, const std::string& id, const std::string& key,
                               const std::string& value) {
  const std::string text = quoted_text(value);
  LineEditor editor(config.text);
  if (editor.set_in("personas", id, key, text) && says(config, editor.text(), {{head_of(id) + key, value}}))
    return editor.text();
  throw_by_hand(config, editor.line(), fmt::format("{} of persona '{}' cannot be set in", key, id),
                fmt::format("personas.{}", id), fmt::format("'{}: {}'", key, text));
}

std::string with_persona_renamed(const ConfigText& config, const std::string& id, const std::string& to) {
  Values expected;
  for (auto& [path, value] : values_of(config, config.text)) {
    if (!path.starts_with(head_of(id)))
      expected[path] = value;
    else
      expected[head_of(to) + path.substr(head_of(id).size())] =
          path == head_of(id) + "name" && value == id ? to : value;
  }
  LineEditor editor(config.text);
  if (editor.rename("personas", id, quoted(to), "name") && says_just(config, editor.text(), expected))
    return editor.text();
  throw_by_hand(config, editor.line(), fmt::format("persona '{}' cannot be renamed in", id), "personas",
                fmt::format("'{}:' in the place of '{}:'", quoted(to), quoted(id)));
}

std::string without_persona(const ConfigText& config, const std::string& id) {
  Values expected = values_of(config, config.text);
  std::erase_if(expected, [&](const auto& entry) { return entry.first.starts_with(head_of(id)); });
  LineEditor editor(config.text);
  if (editor.remove("personas", id) && says_just(config, editor.text(), expected)) return editor.text();
  throw_by_hand(config, editor.line(), fmt::format("persona '{}' cannot be taken out of", id), "personas",
                fmt::format("nothing for '{}'", id));
}

}  // namespace reef::tree::internal
