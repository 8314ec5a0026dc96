#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/session/internal/turns.h"
#include "reef/session/store.h"

namespace reef::session {
namespace {

/// Pages of the full text that one transaction writes anew.
constexpr int kPagesPerMerge = 64;
/// VACUUM is one transaction: of a larger file it would keep other writers waiting.
constexpr std::uintmax_t kVacuumAtMost = 2 << 20;
/// SQLite's own wait looks again after 25 ms at most, until 100 ms: who waits so finds the database free.
constexpr std::chrono::milliseconds kTurnOfOthers{30};

/// Deletes messages by id. Of an archived one the words go with the text out of its archive; the triggers do the rest.
class Remover {
 public:
  Remover(io::Database& database, Archives& archives)
      : archives_(archives),
        find_(database.prepare("SELECT m.archive_offset, s.archive_file, n.number FROM messages m"
                               " LEFT JOIN sessions s ON s.id = m.session_id"
                               " LEFT JOIN persona_numbers n ON n.persona_id = s.persona_id WHERE m.id = ?")),
        forget_words_(
            database.prepare("INSERT INTO messages_fts(messages_fts, rowid, content) VALUES ('delete', ?, ?)")),
        remove_(database.prepare("DELETE FROM messages WHERE id = ?")) {}

  /// False when there is none.
  bool remove(std::int64_t id) {
    find_.reset().bind(1, id);
    if (!find_.step()) return false;
    if (!find_.is_null(0) && !find_.is_null(2)) {  // without a number, the full text has no words of it
      const std::string text = archives_.text(std::string(find_.text(1)), find_.integer(0));
      forget_words_.bind(1, (find_.integer(2) << kPersonaShift) | id).bind(2, text).run();
    }
    find_.reset();
    remove_.bind(1, id).run();
    return true;
  }

 private:
  Archives& archives_;
  io::Statement find_, forget_words_, remove_;
};

}  // namespace

std::uint64_t Store::remove_messages(std::span<const std::int64_t> ids) {
  Remover remover(database_, archives_);
  std::uint64_t removed = 0;
  for (std::size_t next = 0; next < ids.size();) {
    check_interrupt();
    if (next > 0) std::this_thread::sleep_for(kTurnOfOthers);
    io::Transaction transaction(database_);
    const internal::Turn turn;
    std::uint64_t now = 0;
    do {
      now += remover.remove(ids[next]) ? 1 : 0;
    } while (++next < ids.size() && !turn.is_over());
    transaction.commit();
    removed += now;
  }
  return removed;
}

std::uint64_t Store::remove_session(const std::string& session, const std::function<void()>& before_last) {
  std::uint64_t removed = 0;
  auto find = database_.prepare("SELECT id FROM messages WHERE session_id = ?");
  auto remove = database_.prepare("DELETE FROM sessions WHERE id = ?");
  // What another process adds meanwhile is found by the next look.
  for (std::vector<std::int64_t> before;;) {
    std::vector<std::int64_t> ids;
    find.reset().bind(1, session);
    while (find.step()) ids.push_back(find.integer(0));
    find.reset();
    if (ids.empty()) break;
    if (ids == before)
      throw Error(Errc::failed, fmt::format("{} messages of session '{}' stay, whatever is done", ids.size(), session),
                  "run 'reef-session verify'");
    try {
      removed += remove_messages(ids);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      removed += remove_unreadable(session);
    }
    before = std::move(ids);
  }
  before_last();
  io::Transaction transaction(database_);
  find.bind(1, session);
  if (find.step())
    throw Error(Errc::failed, fmt::format("session '{}' was written to while it was removed", session),
                "run the command again");
  find.reset();
  remove.bind(1, session).run();
  transaction.commit();
  return removed;
}

bool Store::remove_empty_session(const std::string& session, const std::function<void()>& before_last) {
  io::Transaction transaction(database_);
  auto find = database_.prepare("SELECT 1 FROM messages WHERE session_id = ?");
  if (find.bind(1, session).step()) return false;
  before_last();
  database_.prepare("DELETE FROM sessions WHERE id = ?").bind(1, session).run();
  transaction.commit();
  return true;
}

bool Store::merge_words() {
  // What 'optimize' does in one transaction, in many: a negative number puts all segments on one level, and each step
  // then merges some pages of them. A step that changes hardly anything is the last one.
  auto merge = database_.prepare("INSERT INTO messages_fts(messages_fts, rank) VALUES ('merge', ?)");
  auto count = database_.prepare("SELECT count(*) FROM messages_fts_data");
  count.step();
  // Where another program adds messages all the time there is always something to merge: the end is twice what was
  // there.
  const std::int64_t most = 64 + 2 * count.integer(0) / kPagesPerMerge;
  count.reset();
  merge.bind(1, -kPagesPerMerge).run();
  for (std::int64_t steps = 0; steps < most; ++steps) {
    check_interrupt();
    const std::int64_t before = total_changes();
    merge.bind(1, kPagesPerMerge).run();
    if (total_changes() - before < 2) return true;
    std::this_thread::sleep_for(kTurnOfOthers);
  }
  return false;
}

Purged Store::purge_words(std::chrono::milliseconds patience, bool large) {
  const bool merged = merge_words();
  std::error_code unreadable;
  const bool anew = large || std::filesystem::file_size(database_.path(), unreadable) <= kVacuumAtMost;
  if (anew) database_.execute("VACUUM");
  if (!empty_log(patience) || !merged) return Purged::kept_by_reader;
  return anew ? Purged::wholly : Purged::not_written_anew;
}

bool Store::empty_log(std::chrono::milliseconds patience) { return database_.empty_log(patience); }

std::int64_t Store::total_changes() {
  auto changes = database_.prepare("SELECT total_changes()");
  changes.step();
  return changes.integer(0);
}

}  // namespace reef::session
