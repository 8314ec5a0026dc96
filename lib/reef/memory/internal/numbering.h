#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "reef/io/sqlite.h"
#include "reef/session/store.h"

namespace reef::memory::internal {

/// Messages are told apart by number, and numbers start again where conversations.sqlite is made anew, or go on from an
/// older one that was restored. A hash of what tells a message then: its session, its id there and its text.
std::int64_t origin_of(const session::Message& message);

/// The same of what stays when its text is changed.
std::uint64_t mark_of(const session::Message& message);

/// A message as memory_sources or decisions name it.
struct NamedMessage {
  std::int64_t number = 0;
  std::string session, external_id, created;  ///< external_id empty: not known
  std::string content_hash;                   ///< of the memory; empty: not known
};
/// nullopt when it is gone: what has its number or its id by now says something else, at another time.
std::optional<session::Message> find_named(io::Database& conversations, session::Archives& archives,
                                           const NamedMessage& named);

/// Notes what follow_numbers() compares with: in table progress, some of the newest messages.
void note_numbers(io::Database& conversations, io::Database& memories);
/// When the numbers are not those of the last time: decisions, sources and tombstones get the numbers that their
/// messages have now, those of messages that are gone negative ones or none, and all other messages are undecided
/// again. In a transaction of its own; the caller holds the persona's lock.
void follow_numbers(io::Database& conversations, io::Database& memories, const std::string& persona);

}  // namespace reef::memory::internal
