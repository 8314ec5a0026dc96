#pragma once

#include <optional>
#include <string>

#include "reef/tree/tree.h"

namespace reef::tree {

/// A change to a persona that takes several steps in several files: written before the first step, and removed after
/// the last. Each step can be taken again, so that the next run of reef-persona finishes what a killed one began; a
/// backup takes the record along, and what is restored from it is finished in the same way.
struct PersonaChange {
  enum class Kind { rename, remove, import };
  Kind kind = Kind::rename;
  std::string persona;
  std::string to;     ///< of a rename: the new id; of an import: its staging folder, relative to the root
  std::string began;  ///< RFC 3339
};

/// "rename", "remove", "import".
const char* kind_name(PersonaChange::Kind kind);

/// <root>/.reef-persona-change: text, a line each of "reef persona change 1", "kind", "persona", "to" and "began" with
/// their values, then "xxh3" with 16 hexadecimal digits, of all before that line.
fs::path change_file(const Tree& tree);

/// What a run began and did not end. Throws Error{corrupt} for a record that cannot be read, Error{usage} for one of a
/// newer program.
std::optional<PersonaChange> pending_change(const Tree& tree);

/// Both durable when they return. The caller holds the lock of persona_lock_file().
void begin_change(const Tree& tree, const PersonaChange& change);
void end_change(const Tree& tree);

/// The lock of those who change personas.
fs::path persona_lock_file(const Tree& tree);

}  // namespace reef::tree
