#include "reef/tree/config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/tree/internal/value.h"

namespace reef::tree {
namespace {

constexpr std::uint64_t kLargestFile = 8 << 20;
constexpr const char* kFiles[] = {"system", "models", "personas"};

/// "models.bge-small-v1.5.pooling" fits "models.*.pooling": a name may itself hold dots.
bool fits(std::string_view pattern, std::string_view path) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == path;
  const std::string_view head = pattern.substr(0, star), tail = pattern.substr(star + 1);
  return path.size() > head.size() + tail.size() && path.starts_with(head) && path.ends_with(tail);
}

using Keys = std::vector<ConfigKey>;

const ConfigKey& key_of(const Keys& keys, std::string_view file, std::string_view path) {
  for (const ConfigKey& key : keys)
    if (key.file == file && fits(key.path, path)) return key;
  throw std::logic_error(fmt::format("no configuration key {}: {}", file, path));
}

std::vector<std::string> parse_default_list(std::string_view text) {
  std::vector<std::string> items;
  if (text.size() < 2) return items;
  text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    const auto comma = std::min(text.find(", "), text.size());
    items.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(text.size(), comma + 2));
  }
  return items;
}

/// The segments that may follow `prefix` in any key of `file`: ("models", "models") -> {"*"}.
std::vector<std::string> segments_after(const Keys& keys, std::string_view file, const std::string& prefix) {
  std::vector<std::string> segments;
  const std::string head = prefix.empty() ? "" : prefix + ".";
  for (const ConfigKey& key : keys) {
    const std::string_view path = key.path;
    if (key.file != file || !path.starts_with(head)) continue;
    const std::string_view rest = path.substr(head.size());
    std::string segment(rest.substr(0, rest.find('.')));
    if (std::find(segments.begin(), segments.end(), segment) == segments.end()) segments.push_back(std::move(segment));
  }
  return segments;
}

/// The text without its comment lines, of which there are many: yaml-cpp takes .4 ms for a file
/// that is mostly comments, a fifteenth of a question. Line numbers stay. Left alone when a block
/// scalar could hold lines that only look like comments.
std::string without_comments(const std::string& text) {
  for (const char* block : {"|\n", ">\n", "|-\n", ">-\n", "|+\n", ">+\n"})
    if (text.find(block) != std::string::npos) return text;
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::size_t word = text.find_first_not_of(" \t", at);
    if (word >= end || text[word] != '#') out.append(text, at, end - at);
    out += '\n';
    at = end + 1;
  }
  return out;
}

/// Reads one file into path -> value, checking every key on the way.
class Reader {
 public:
  Reader(const Keys& keys, std::string_view file, std::string shown,
         std::map<std::string, ConfigValue, std::less<>>& into)
      : keys_(keys), file_(file), shown_(std::move(shown)), into_(into) {}

  void read(const std::string& text) {
    YAML::Node root;
    try {
      root = YAML::Load(without_comments(text));
    } catch (const YAML::Exception& error) {
      throw Error(Errc::usage, fmt::format("{}:{}: {}", shown_, error.mark.line + 1, error.msg),
                  "YAML: indent with spaces, quote values that hold ': ' or '#'");
    }
    if (root.IsNull()) return;
    walk(root, "", "");
  }

 private:
  [[noreturn]] void fail(const YAML::Node& at, const std::string& what, const std::string& hint) const {
    throw Error(Errc::usage, fmt::format("{}:{}: {}", shown_, at.Mark().line + 1, what), hint);
  }

  /// `pattern` is the path in config_keys(), `path` the same with the operator's names.
  void walk(const YAML::Node& node, const std::string& pattern, const std::string& path) {
    if (!node.IsMap())
      fail(node,
           path.empty() ? "the file must be a mapping of keys" : fmt::format("'{}' must hold keys of its own", path),
           "reef-config(5) lists every key");
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) fail(entry.first, "a key must be a plain word", "reef-config(5) lists every key");
      const std::string name = entry.first.Scalar();
      if (!seen.insert(name).second)
        fail(entry.first, fmt::format("duplicate key '{}'", join(path, name)), "remove one of the two");
      take(entry.first, entry.second, name, pattern, path);
    }
  }

  void take(const YAML::Node& at, const YAML::Node& value, const std::string& name, const std::string& pattern,
            const std::string& path) {
    const auto known = segments_after(keys_, file_, pattern);
    const bool any = std::find(known.begin(), known.end(), "*") != known.end();
    if (!any && std::find(known.begin(), known.end(), name) == known.end()) {
      const auto meant = nearest(name, known);
      fail(
          at,
          fmt::format("unknown key '{}'{}", join(path, name), meant ? fmt::format(", did you mean '{}'?", *meant) : ""),
          fmt::format("keys here are {}; reef-config(5) explains them", fmt::join(known, ", ")));
    }
    const std::string below = join(pattern, any ? "*" : name), here = join(path, name);
    const auto deeper = segments_after(keys_, file_, below);
    if (any) check_name(at, name, below, here);
    if (any) into_[fmt::format("{}:{}\n{}", file_, path, name)] = {};  // the name itself, see names()
    if (!deeper.empty()) {
      if (!value.IsNull()) walk(value, below, here);
      return;
    }
    store(value, below, here);
  }

  /// Runs a check, whose error then tells the place.
  template <typename Check>
  void check(const YAML::Node& at, const std::string& path, const char* hint, Check&& checks) const {
    try {
      checks();
    } catch (const Error& error) {
      fail(at, fmt::format("{}: {}", path, error.what()), error.hint().empty() ? hint : error.hint());
    }
  }

  void check_name(const YAML::Node& at, const std::string& name, const std::string& pattern,
                  const std::string& path) const {
    for (const ConfigKey& key : keys_) {
      if (key.file != file_ || !std::string_view(key.path).starts_with(pattern) || !key.limits.check_name) continue;
      check(at, path, key.why, [&] { key.limits.check_name(name); });
      return;
    }
  }

  void store(const YAML::Node& value, const std::string& pattern, const std::string& path) {
    const ConfigKey& key = key_of(keys_, file_, pattern);
    if (value.IsNull()) return;
    ConfigValue result;
    result.origin = fmt::format("{}:{}", shown_, value.Mark().line + 1);
    if (key.type == ValueType::list) {
      if (!value.IsSequence()) fail(value, fmt::format("'{}' must be a list", path), "write it as [a, b]");
      for (const auto& item : value) {
        if (!item.IsScalar())
          fail(item, fmt::format("'{}' must be a list of plain values", path), "write it as [a, b]");
        result.items.push_back(item.Scalar());
        check(item, path, key.why, [&] { internal::check_value(key, item.Scalar()); });
      }
      result.text = fmt::format("{}", fmt::join(result.items, "\n"));
    } else {
      if (!value.IsScalar()) fail(value, fmt::format("'{}' takes one value", path), "reef-config(5) explains the key");
      result.text = value.Scalar();
      check(value, path, key.why, [&] { internal::check_value(key, result.text); });
    }
    into_[fmt::format("{}:{}", file_, path)] = std::move(result);
  }

  static std::string join(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + "." + name;
  }

  const Keys& keys_;
  std::string file_;
  std::string shown_;
  std::map<std::string, ConfigValue, std::less<>>& into_;
};

}  // namespace

std::vector<std::string> allowed_words(std::string_view file, std::string_view path) {
  return internal::words_of(key_of(config_keys(), file, path).limits);
}

Config Config::load(const Tree& tree) { return load(tree, {kFiles[0], kFiles[1], kFiles[2]}); }

Config Config::load(const Tree& tree, std::initializer_list<std::string_view> files) {
  Config config;
  for (const std::string_view file : files) {
    const fs::path path = tree.config(fmt::format("{}.yaml", file));
    std::string text;
    try {
      text = io::read_file(path, kLargestFile);
    } catch (const Error& error) {
      if (error.code() == Errc::not_found) continue;
      throw;
    }
    Reader(*config.keys_, file, io::shown(path), config.set_).read(text);
  }
  return config;
}

Config Config::parse(std::string_view file, const std::string& text, const std::string& name, const Keys& keys) {
  Config config;
  config.keys_ = &keys;
  Reader(keys, file, name, config.set_).read(text);
  return config;
}

const ConfigValue& Config::value(std::string_view file, std::string_view path) const {
  const std::string name = fmt::format("{}:{}", file, path);
  if (const auto found = set_.find(name); found != set_.end()) return found->second;
  if (const auto found = defaults_.find(name); found != defaults_.end()) return found->second;
  const ConfigKey& key = key_of(*keys_, file, path);
  ConfigValue value;
  value.origin = "default";
  value.text = key.default_value;
  if (key.type == ValueType::list) {
    value.items = parse_default_list(value.text);
    value.text = fmt::format("{}", fmt::join(value.items, "\n"));
  }
  return defaults_.emplace(name, std::move(value)).first->second;
}

std::string Config::text(std::string_view file, std::string_view path) const { return value(file, path).text; }
bool Config::flag(std::string_view file, std::string_view path) const { return internal::parse_flag(text(file, path)); }
std::uint64_t Config::count(std::string_view file, std::string_view path) const {
  return parse_count(text(file, path), path);
}
double Config::number(std::string_view file, std::string_view path) const {
  return internal::parse_number(text(file, path));
}
std::uint64_t Config::size_bytes(std::string_view file, std::string_view path) const {
  return parse_size(text(file, path));
}
std::chrono::milliseconds Config::duration(std::string_view file, std::string_view path) const {
  return parse_duration(text(file, path));
}
std::vector<std::string> Config::list(std::string_view file, std::string_view path) const {
  return value(file, path).items;
}

std::vector<std::string> Config::names(std::string_view file, std::string_view parent) const {
  std::vector<std::string> names;
  const std::string head = fmt::format("{}:{}\n", file, parent);
  for (auto it = set_.lower_bound(head); it != set_.end() && it->first.starts_with(head); ++it)
    names.push_back(it->first.substr(head.size()));
  return names;
}

std::vector<std::pair<std::string, ConfigValue>> Config::all() const {
  std::vector<std::pair<std::string, ConfigValue>> result;
  for (const ConfigKey& key : *keys_) {
    const std::string_view pattern = key.path;
    const auto star = pattern.find('*');
    if (star == std::string_view::npos) {
      result.emplace_back(fmt::format("{}: {}", key.file, key.path), value(key.file, key.path));
      continue;
    }
    for (const std::string& name : names(key.file, pattern.substr(0, star - 1))) {
      const std::string path = fmt::format("{}{}{}", pattern.substr(0, star), name, pattern.substr(star + 1));
      result.emplace_back(fmt::format("{}: {}", key.file, path), value(key.file, path));
    }
  }
  return result;
}

}  // namespace reef::tree
