#pragma once

#include <chrono>
#include <string>

#include "reef/core/progress.h"
#include "reef/tree/tree.h"

/// The steps of changes, all of which can be taken again. The caller holds the lock of those who change personas, and
/// has recorded the change.
namespace reef::persona::internal {

void run_rename(const tree::Tree& tree, const std::string& from, const std::string& to, std::chrono::milliseconds wait);
/// Writes vectors/personas/<id>/id_mapping.json anew, which names chunks by the persona. Takes the store's lock.
void write_mapping(const tree::Tree& tree, const std::string& persona, std::chrono::milliseconds wait);
/// Makes memories.sqlite in the persona's folder, and what is exported of it, the persona's.
void settle_memories(const tree::Tree& tree, const std::string& persona);
/// False when copies of words may be left in pages of databases that others use.
bool run_remove(const tree::Tree& tree, const std::string& persona, bool with_adapters, std::chrono::milliseconds wait,
                Progress& progress);

/// What was staged and found good is put in place; of an import that was ended before that, what was staged goes, and
/// the answer is false. `staging` is a name below the tree's root.
bool run_import(const tree::Tree& tree, const std::string& persona, const std::string& staging,
                std::chrono::milliseconds wait);
/// In the staging folder, once all of it is good and may be put in place: the section for personas.yaml.
inline constexpr const char* kReady = "ready.json";

/// In the record of a removal: adapters go too.
inline constexpr const char* kWithAdapters = "adapters";

}  // namespace reef::persona::internal
