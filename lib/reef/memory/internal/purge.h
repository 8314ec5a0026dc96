#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "reef/io/sqlite.h"
#include "reef/tree/tree.h"

namespace reef::memory::internal {

/// Keys of table progress, set in the transaction that forgets, gone when it is done. forget_messages: numbers of
/// messages that are to be removed from conversations.sqlite. purge: bytes of what was forgotten are still to be
/// removed, from memories.sqlite ("memories"), or from conversations.sqlite as well ("all").
void request_purge(io::Database& memories, bool conversations, std::span<const std::int64_t> messages,
                   std::span<const std::string> sessions);
bool purge_is_due(io::Database& memories);

/// Does it: messages go, and sessions that have none left with their titles and files; free rows of embeddings.npy
/// become zeros; words of removed texts leave the full text, free pages the files, both the write-ahead logs. False
/// when a reader kept a log: it is then due still. The caller holds the persona's lock and no transaction. `wait`: for
/// another run that removes sessions.
bool purge(const tree::Tree& tree, const std::filesystem::path& folder, io::Database& memories,
           std::chrono::milliseconds wait);

}  // namespace reef::memory::internal
