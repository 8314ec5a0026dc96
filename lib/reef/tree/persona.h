#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "reef/tree/config.h"

namespace reef::tree {

/// 1 to 64 characters of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit: a persona's id is a
/// folder name, a YAML key and an argument, and must need no quoting in any of them.
bool is_persona_id(std::string_view id);
/// Throws Error{usage} with the rule.
void require_persona_id(std::string_view id);

/// Ids in personas.yaml, sorted.
std::vector<std::string> personas(const Config& config);
/// Throws Error{not_found} naming the nearest id and how to add one.
void require_persona(const Config& config, const std::string& id);

/// Adds an adapter to the persona's list in personas.yaml, unless it is there as NAME or adapters/NAME; comments and
/// edits stay. True when the file was changed. Throws Error{usage} where the file cannot be edited, saying what to
/// write by hand, Error{not_found} for an unknown persona, Error{locked} after `wait`, Error{failed}.
bool bind_adapter(const Tree& tree, const std::string& id, const std::string& adapter, std::chrono::milliseconds wait);
/// Whether it would change the file. Throws as it does, but for the lock.
bool would_bind_adapter(const Tree& tree, const std::string& id, const std::string& adapter);

}  // namespace reef::tree
