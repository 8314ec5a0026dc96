#include "reef/memory/internal/purge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/memory/embeddings_file.h"
#include "reef/memory/internal/numbering.h"
#include "reef/session/delete.h"
#include "reef/session/turn_store.h"

namespace reef::memory::internal {
namespace {

constexpr const char* kAll = "all";

std::string requested(io::Database& memories, const char* key) {
  auto find = memories.prepare("SELECT value FROM progress WHERE key = ?");
  return find.bind(1, key).step() ? std::string(find.text(0)) : std::string();
}
std::string due(io::Database& memories) { return requested(memories, "purge"); }

void remember_request(io::Database& memories, const char* key, const std::string& value) {
  memories.prepare("INSERT OR REPLACE INTO progress(key, value) VALUES (?, ?)").bind(1, key).bind(2, value).run();
}

/// A session's id may hold a word that is to be forgotten.
std::uint64_t hash_of(std::string_view session) {
  return io::xxh3({reinterpret_cast<const std::uint8_t*>(session.data()), session.size()});
}

template <typename Number>
std::vector<Number> requested_numbers(io::Database& memories, const char* key) {
  std::istringstream text(requested(memories, key));
  std::vector<Number> numbers;
  for (Number number; text >> number;) numbers.push_back(number);
  return numbers;
}

/// What other programs add meanwhile stays.
void remove_messages(session::Store& store, const tree::Tree& tree, const std::string& persona, io::Database& memories,
                     std::chrono::milliseconds wait) {
  const auto marks = requested_numbers<std::uint64_t>(memories, "forget_messages");
  if (marks.empty()) return;
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i + 1 < marks.size(); i += 2) {
    const auto id = static_cast<std::int64_t>(marks[i]);
    if (const auto message = session::read_stored_message(store.database(), id);
        message && mark_of(*message) == marks[i + 1])
      ids.push_back(id);
  }
  store.remove_messages(ids);
  const auto sessions = requested_numbers<std::uint64_t>(memories, "forget_sessions");
  const std::set<std::uint64_t> touched(sessions.begin(), sessions.end());
  session::DeleteOptions emptied;
  emptied.wait = wait;
  emptied.only_empty = true;
  for (const auto& row : session::list_sessions(store.database(), persona))
    if (touched.contains(hash_of(row.id)) && row.messages == 0) emptied.sessions.push_back(row.id);
  if (emptied.sessions.empty()) return;
  for (const auto& deleted : session::delete_sessions(tree, emptied, no_progress()).sessions)
    if (deleted.failure) throw Error(*deleted.failure);
}

std::vector<std::uint64_t> free_rows(io::Database& memories, const VectorState& state) {
  std::set<std::uint64_t> used;
  auto select = memories.prepare("SELECT vector_row FROM memories WHERE vector_row IS NOT NULL");
  while (select.step()) used.insert(static_cast<std::uint64_t>(select.integer(0)));
  std::vector<std::uint64_t> rows;
  for (std::uint64_t row = 0; row < state.file_rows; ++row)
    if (!used.contains(row)) rows.push_back(row);
  return rows;
}

/// For who reads the databases.
std::chrono::milliseconds patience(const StoreOptions& options) {
  return options.purges ? std::chrono::seconds(5) : std::chrono::milliseconds(200);
}

constexpr const char* kReader =
    "a program that uses the database keeps words of what was forgotten in it or its log; run 'reef-memory export' "
    "when it has ended";

/// What stands in the way today, and may not tomorrow.
bool is_for_later(const Error& error) { return error.code() == Errc::locked || error.code() == Errc::not_found; }

std::string purge_conversations(const tree::Tree& tree, const std::string& persona, io::Database& memories,
                                const StoreOptions& options) {
  std::error_code unreadable;
  if (!std::filesystem::exists(session::conversations_file(tree), unreadable)) return {};
  try {
    session::Store store(tree);
    remove_messages(store, tree, persona, memories, options.wait);
    switch (store.purge_words(patience(options), options.purges)) {
      case session::Purged::wholly:
        return {};
      case session::Purged::not_written_anew:
        return "conversations.sqlite may hold words of what was forgotten between its rows; run 'reef-memory export', "
               "which writes it anew";
      case session::Purged::kept_by_reader:
        break;
    }
    return kReader;
  } catch (const Error& error) {
    if (!is_for_later(error)) throw;
    return fmt::format("messages that were to be forgotten are there still: {}; run 'reef-memory export' then",
                       error.what());
  }
}

/// Derived: damage there keeps nothing else from being purged.
std::string purge_vectors(const tree::Tree& tree, const std::string& persona, const StoreOptions& options) {
  try {
    session::purge_turns(tree, persona, options.wait);
    return {};
  } catch (const Error& error) {
    if (error.code() == Errc::corrupt)
      return fmt::format("vectors of what was forgotten are there still: {}; remove {} and run 'reef-session index'",
                         error.what(), io::shown(tree.turns(persona)));
    if (!is_for_later(error) && error.code() != Errc::usage) throw;
    return fmt::format("vectors of what was forgotten are there still: {}; run 'reef-memory export' then",
                       error.what());
  }
}

}  // namespace

void request_purge(io::Database& memories, bool conversations, std::span<const MarkedMessage> messages,
                   std::span<const std::string> sessions) {
  remember_request(memories, "purge", conversations || due(memories) == kAll ? kAll : "memories");
  if (messages.empty()) return;
  auto marks = requested_numbers<std::uint64_t>(memories, "forget_messages");
  auto hashes = requested_numbers<std::uint64_t>(memories, "forget_sessions");
  for (const MarkedMessage& message : messages)
    marks.insert(marks.end(), {static_cast<std::uint64_t>(message.id), message.mark});
  for (const std::string& session : sessions) hashes.push_back(hash_of(session));
  remember_request(memories, "forget_messages", fmt::format("{}", fmt::join(marks, " ")));
  remember_request(memories, "forget_sessions", fmt::format("{}", fmt::join(hashes, " ")));
}

bool purge_is_due(io::Database& memories) { return !due(memories).empty(); }

std::string purge(const tree::Tree& tree, const std::filesystem::path& folder, io::Database& memories,
                  const StoreOptions& options) {
  const std::string wanted = due(memories);
  if (wanted.empty()) return {};
  const std::string persona = folder.filename().string();
  std::string left;
  if (wanted == kAll) {
    left = purge_conversations(tree, persona, memories, options);
    if (std::string vectors = purge_vectors(tree, persona, options); left.empty()) left = std::move(vectors);
  }
  const VectorState state = read_vector_state(memories);
  erase_rows(folder, state, free_rows(memories, state));
  memories.execute("INSERT INTO memories_fts(memories_fts) VALUES ('optimize')");
  memories.execute("VACUUM");
  if (!memories.empty_log(patience(options)) && left.empty()) left = kReader;
  if (!left.empty()) return left;
  memories.execute("DELETE FROM progress WHERE key IN ('purge', 'forget_messages', 'forget_sessions')");
  memories.empty_log({});
  return {};
}

}  // namespace reef::memory::internal
