#include "reef/session/words.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/session/internal/locks.h"
#include "reef/session/store.h"

namespace reef::session {

std::uint64_t Store::write_words(Progress& progress) {
  database_.execute(
      "INSERT OR IGNORE INTO persona_numbers(persona_id) SELECT DISTINCT persona_id FROM sessions;"
      "INSERT INTO messages_fts(messages_fts) VALUES ('delete-all')");
  auto count = database_.prepare("SELECT count(*) FROM messages");
  count.step();
  progress.begin("indexing words", static_cast<std::uint64_t>(count.integer(0)), ProgressUnit::items);
  // In the order of the rows' numbers: FTS5 writes its buffer out wherever it is left.
  auto order = database_.prepare(
      "SELECT n.number, m.id FROM messages m JOIN session_numbers n ON n.session_id = m.session_id ORDER BY 1, 2");
  auto find = database_.prepare(
      "SELECT m.content, m.archive_offset, s.archive_file FROM messages m JOIN sessions s ON s.id = m.session_id"
      " WHERE m.id = ?");
  auto insert = database_.prepare("INSERT INTO messages_fts(rowid, content) VALUES (?, ?)");
  std::uint64_t unread = 0;
  while (order.step()) {
    check_interrupt();
    find.reset().bind(1, order.integer(1));
    if (!find.step()) continue;
    std::string text(find.text(0));
    try {
      if (!find.is_null(1)) text = archives_.text(std::string(find.text(2)), find.integer(1));
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      ++unread;
    }
    insert.bind(1, (order.integer(0) << kPersonaShift) | order.integer(1)).bind(2, text).run();
    progress.advance(1);
  }
  progress.end();
  return unread;
}

std::uint64_t Store::rebuild_words(Progress& progress) {
  io::Transaction transaction(database_);
  const std::uint64_t unread = write_words(progress);
  transaction.commit();
  return unread;
}

std::uint64_t Store::remove_unreadable(const std::string& session) {
  io::Transaction transaction(database_);
  auto remove = database_.prepare("DELETE FROM messages WHERE session_id = ? AND archive_offset IS NOT NULL");
  remove.bind(1, session).run();
  auto changes = database_.prepare("SELECT changes()");
  changes.step();
  const auto removed = static_cast<std::uint64_t>(changes.integer(0));
  write_words(no_progress());
  transaction.commit();
  return removed;
}

WordsReport rebuild_words(const tree::Tree& tree, std::chrono::milliseconds wait, Progress& progress) {
  read_conversations(tree);  // nothing is made where there are none
  const auto lock = internal::lock_conversations(tree, wait);
  Store store(tree);
  WordsReport report;
  report.unread = store.rebuild_words(progress);
  {
    auto count = store.database().prepare("SELECT count(*) FROM messages_fts_docsize");
    count.step();
    report.messages = static_cast<std::uint64_t>(count.integer(0));
  }
  store.empty_log();
  return report;
}

}  // namespace reef::session
