#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "reef/io/sqlite.h"
#include "reef/memory/store.h"
#include "reef/tree/tree.h"

namespace reef::memory::internal {

/// A message that is to be removed: a number that means another one by now has another mark_of() it.
struct MarkedMessage {
  std::int64_t id = 0;
  std::uint64_t mark = 0;
};

/// Keys of table progress, set in the transaction that forgets, gone when it is done. forget_messages: numbers and
/// marks of messages that are to be removed from conversations.sqlite. purge: bytes of what was forgotten are still to
/// be removed, from memories.sqlite ("memories"), or from conversations.sqlite and what is made of it as well ("all").
void request_purge(io::Database& memories, bool conversations, std::span<const MarkedMessage> messages,
                   std::span<const std::string> sessions);
bool purge_is_due(io::Database& memories);

/// Does it: messages go, and sessions that have none left with their titles and files; their vectors, and those of
/// turns behind them, which are pending then; free rows of embeddings.npy become zeros; words of removed texts leave
/// the full text, free pages the files, both the write-ahead logs. No writer of conversations.sqlite waits for longer
/// than some 50 ms, but with `options.purges` while a file beyond 2 MiB is written anew. Returns why it is due still,
/// and what to do: a reader kept a log, another run removes sessions or indexes, an archive is not there. Empty: done.
/// The caller holds the persona's lock and no transaction.
std::string purge(const tree::Tree& tree, const std::filesystem::path& folder, io::Database& memories,
                  const StoreOptions& options);

}  // namespace reef::memory::internal
