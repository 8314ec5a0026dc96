#include "reef/memory/internal/purge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/memory/embeddings_file.h"
#include "reef/session/delete.h"

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

void remove_messages(const tree::Tree& tree, const std::string& persona, io::Database& memories,
                     std::chrono::milliseconds wait) {
  const auto ids = requested_numbers<std::int64_t>(memories, "forget_messages");
  std::error_code unreadable;
  if (ids.empty() || !std::filesystem::exists(session::conversations_file(tree), unreadable)) return;
  session::Store store(tree);
  std::map<std::string, std::uint64_t, std::less<>> of_session;
  auto find = store.database().prepare("SELECT session_id FROM messages WHERE id = ?");
  for (const std::int64_t id : ids) {
    find.bind(1, id);
    if (find.step()) ++of_session[std::string(find.text(0))];
    find.reset();
  }
  const auto sessions = requested_numbers<std::uint64_t>(memories, "forget_sessions");
  const std::set<std::uint64_t> touched(sessions.begin(), sessions.end());
  session::DeleteOptions emptied;
  emptied.wait = wait;
  for (const auto& row : session::list_sessions(store.database(), persona))
    if (touched.contains(hash_of(row.id)) && row.messages == of_session[row.id]) emptied.sessions.push_back(row.id);
  if (!emptied.sessions.empty())
    for (const auto& deleted : session::delete_sessions(tree, emptied, no_progress()).sessions)
      if (deleted.failure) throw Error(*deleted.failure);
  store.remove_messages(ids);
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

bool purge_conversations(const tree::Tree& tree) {
  std::error_code unreadable;
  if (!std::filesystem::exists(session::conversations_file(tree), unreadable)) return true;
  return session::Store(tree).purge_words();
}

}  // namespace

void request_purge(io::Database& memories, bool conversations, std::span<const std::int64_t> messages,
                   std::span<const std::string> sessions) {
  remember_request(memories, "purge", conversations || due(memories) == kAll ? kAll : "memories");
  if (messages.empty()) return;
  auto ids = requested_numbers<std::int64_t>(memories, "forget_messages");
  auto hashes = requested_numbers<std::uint64_t>(memories, "forget_sessions");
  ids.insert(ids.end(), messages.begin(), messages.end());
  for (const std::string& session : sessions) hashes.push_back(hash_of(session));
  remember_request(memories, "forget_messages", fmt::format("{}", fmt::join(ids, " ")));
  remember_request(memories, "forget_sessions", fmt::format("{}", fmt::join(hashes, " ")));
}

bool purge_is_due(io::Database& memories) { return !due(memories).empty(); }

bool purge(const tree::Tree& tree, const std::filesystem::path& folder, io::Database& memories,
           std::chrono::milliseconds wait) {
  const std::string wanted = due(memories);
  if (wanted.empty()) return true;
  remove_messages(tree, folder.filename().string(), memories, wait);
  const VectorState state = read_vector_state(memories);
  erase_rows(folder, state, free_rows(memories, state));
  const bool conversations_done = wanted != kAll || purge_conversations(tree);
  memories.execute("INSERT INTO memories_fts(memories_fts) VALUES ('optimize')");
  memories.execute("VACUUM");
  if (!memories.checkpoint() || !conversations_done) return false;
  memories.execute("DELETE FROM progress WHERE key IN ('purge', 'forget_messages', 'forget_sessions')");
  memories.checkpoint();
  return true;
}

}  // namespace reef::memory::internal
