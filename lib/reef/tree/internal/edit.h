#pragma once

#include <string>

namespace reef::tree::internal {

/// One configuration file, as its operator wrote it.
struct ConfigText {
  std::string file;   ///< "personas"
  std::string shown;  ///< its path as messages show it
  std::string text;
};

/// The lock of those who change configuration files, below the root of a tree.
inline constexpr const char* kEditLock = ".reef-init.lock";

/// All keep comments, order, indent and line ends, which no YAML writer does, and read the result
/// back: a text that would not say all that it said before, and the new value besides, is never
/// returned. What cannot be edited so (mappings in braces, aliases) is Error{usage}, naming file
/// and line, with what to write by hand.

/// The text with `key` of `section` (a top-level key; "" for the file itself) set to `value`, a
/// plain word.
std::string with_setting(const ConfigText& config, const std::string& section, const std::string& key,
                         const std::string& value);
/// The text with one persona more.
std::string with_persona(const ConfigText& config, const std::string& id, const std::string& created);
/// The text with a plain word more at the end of the persona's list `key`, which is made if need be.
std::string with_persona_item(const ConfigText& config, const std::string& id, const std::string& key,
                              const std::string& item);
/// The text with the persona's `key` set to `value`, any text.
std::string with_persona_value(const ConfigText& config, const std::string& id, const std::string& key,
                               const std::string& value);
/// The text with another id in the place of a persona's; a name for people that was the id goes along.
std::string with_persona_renamed(const ConfigText& config, const std::string& id, const std::string& to);
/// The text without that persona; comments above it stay.
std::string without_persona(const ConfigText& config, const std::string& id);

}  // namespace reef::tree::internal
