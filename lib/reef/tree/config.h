#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reef/tree/tree.h"

namespace reef::tree {

enum class ValueType { text, flag, count, number, size, duration, list };

/// What a value may be beyond its type, and which names may stand for the '*' of its path.
struct Limits {
  std::string_view words{};  ///< the only ones that a text, or an item of a list, may be; blanks between
  double min = -std::numeric_limits<double>::infinity();  ///< of a count, number, size (bytes), duration (seconds)
  double max = std::numeric_limits<double>::infinity();
  void (*check_name)(std::string_view) = nullptr;  ///< throws Error{usage} for a name that cannot be
};

/// One key that a configuration file may hold. '*' in a path stands for a name that the operator
/// chooses ("models.*.pooling").
struct ConfigKey {
  const char* file;  ///< "system", "models" or "personas"
  const char* path;  ///< "retrieve.priors.shared"
  ValueType type;
  const char* default_value;  ///< as written in YAML; "" where there is none
  const char* why;            ///< one line for the commented file, --check -v and reef-config(5)
  Limits limits{};
};

/// What a key takes, in words: "text", "number from 0 to 1", "minimal, standard or enterprise".
std::string type_text(const ConfigKey& key);

/// The only words that a key takes; empty where it takes others. The key must be among config_keys().
std::vector<std::string> allowed_words(std::string_view file, std::string_view path);

/// Every key of every file: one table feeds validation, defaults, the commented files and the manual.
const std::vector<ConfigKey>& config_keys();

/// A value and where it came from.
struct ConfigValue {
  std::string text;                ///< scalar as written; lists joined by '\n'
  std::vector<std::string> items;  ///< list items
  std::string origin;              ///< "default" or "<file>:<line>"
};

/// The three files, read and checked as a whole. Unknown and duplicate keys, values of the
/// wrong type and values beyond their limits are Error{usage} naming file, line and the nearest key
/// or word. Absent files mean defaults.
class Config {
 public:
  /// Reads all files of the tree.
  static Config load(const Tree& tree);
  /// Reads only the files named ("system", …); the others count as absent. Queries start faster so.
  static Config load(const Tree& tree, std::initializer_list<std::string_view> files);

  /// The content of one file, `name` standing in messages; the others count as absent. `keys`,
  /// which must outlive the result, are others in tests only.
  static Config parse(std::string_view file, const std::string& text, const std::string& name,
                      const std::vector<ConfigKey>& keys = config_keys());

  /// `file` and `path` must be among the keys ('*' replaced by a name).
  const ConfigValue& value(std::string_view file, std::string_view path) const;
  std::string text(std::string_view file, std::string_view path) const;
  bool flag(std::string_view file, std::string_view path) const;
  std::uint64_t count(std::string_view file, std::string_view path) const;
  double number(std::string_view file, std::string_view path) const;
  std::uint64_t size_bytes(std::string_view file, std::string_view path) const;
  std::chrono::milliseconds duration(std::string_view file, std::string_view path) const;
  std::vector<std::string> list(std::string_view file, std::string_view path) const;

  /// Names that stand where a '*' is: names("models", "models") lists the models described.
  std::vector<std::string> names(std::string_view file, std::string_view parent) const;
  /// Every value set or defaulted, "file: path" to value, in the order of the keys.
  std::vector<std::pair<std::string, ConfigValue>> all() const;

 private:
  const std::vector<ConfigKey>* keys_ = &config_keys();
  std::map<std::string, ConfigValue, std::less<>> set_;  ///< "file:path"
  mutable std::map<std::string, ConfigValue, std::less<>> defaults_;
};

/// The commented file that reef-init writes, every key at its default.
std::string commented_file(std::string_view file);

}  // namespace reef::tree
