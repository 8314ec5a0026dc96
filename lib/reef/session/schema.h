#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "reef/io/sqlite.h"
#include "reef/tree/tree.h"

namespace reef::session {

/// data/conversations/conversations.sqlite: sessions and messages of all personas and their full text.
///
/// The first migration is the documented schema, so that programs which know it go on working; columns and tables of
/// ours came with the second; a database without a version that holds those two tables alone begins there. Triggers
/// keep the full text and the lists of what is to be embedded in step, whoever writes (reef-tree(5) says what they
/// cannot see). Rows of messages_fts are numbered `persona number << 40 | message id`: a search reads the words of one
/// persona alone, however many others there are. The third keeps what a language model's summaries rest on.
inline constexpr int kConversationsVersion = 4;
inline constexpr int kPersonaShift = 40;

std::filesystem::path conversations_file(const tree::Tree& tree);
/// For writing; made when absent. Throws as io::open_or_make() and io::migrate() do.
io::Database open_conversations(const tree::Tree& tree);
/// For reading. Error{not_found} with the way to import when there is none; Error{usage} for another version.
io::Database read_conversations(const tree::Tree& tree);

/// The persona's number; 0 when it never had a session.
std::int64_t persona_number(io::Database& conversations, std::string_view persona);

}  // namespace reef::session
