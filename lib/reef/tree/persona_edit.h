#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "reef/tree/tree.h"

/// Changes to personas.yaml. Comments, order and form of all else stay; what has no form that can be edited is
/// Error{usage} with file, line and what to write by hand. Each is one replaced file, taken under the lock of those who
/// change configuration files (Error{locked} after `wait`), and false where it is so already.
namespace reef::tree {

/// What of a persona's section can go to another tree: a pin to a shard cannot.
struct PersonaSection {
  std::string name;  ///< for people; empty: the id
  std::string base;
  std::vector<std::string> adapters;
  std::string created;
};
/// Of a persona that is there.
PersonaSection persona_section(const Tree& tree, const std::string& id);

/// A name for people that was the old id becomes the new one.
bool rename_persona(const Tree& tree, const std::string& id, const std::string& to, std::chrono::milliseconds wait);
bool remove_persona(const Tree& tree, const std::string& id, std::chrono::milliseconds wait);
bool add_persona(const Tree& tree, const std::string& id, const PersonaSection& section,
                 std::chrono::milliseconds wait);

/// Throw as the changes would, and change nothing.
void require_renamable(const Tree& tree, const std::string& id, const std::string& to);
void require_removable(const Tree& tree, const std::string& id);
void require_addable(const Tree& tree, const std::string& id, const PersonaSection& section);

}  // namespace reef::tree
