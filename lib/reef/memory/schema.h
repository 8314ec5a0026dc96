#pragma once

#include <filesystem>
#include <string>

#include "reef/io/sqlite.h"
#include "reef/tree/tree.h"

namespace reef::memory {

/// data/memories/<persona>/memories.sqlite: all that a persona remembers, and why.
///
/// The first migration is the documented table; what reef needs beside it came with the second, what the writing of
/// memories keeps for itself with the third, what a language model said with the fourth, what tells messages whose
/// numbers start again with the fifth, and the SearchMap with the sixth. Texts stand in memories.content alone:
/// decisions refer to messages by number, words that were counted are kept as hashes, and the names of speakers in the
/// map go with the last of their memories, so that what is forgotten is in no corner of the file.
inline constexpr int kMemoriesVersion = 6;

std::filesystem::path memories_file(const tree::Tree& tree, const std::string& persona);
/// For writing; made when absent, with its folder. Throws as io::open_or_make() does.
io::Database open_memories(const tree::Tree& tree, const std::string& persona);
/// In memory, and empty: for who only looks before there are any.
io::Database no_memories();
/// For reading. Error{not_found} with the way to consolidate when there is none.
io::Database read_memories(const tree::Tree& tree, const std::string& persona);

}  // namespace reef::memory
