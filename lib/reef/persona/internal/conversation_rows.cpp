#include <fmt/format.h>

#include <iterator>
#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/persona/internal/pieces.h"
#include "reef/persona/internal/shared_rows.h"
#include "reef/persona/internal/tables.h"
#include "reef/session/archives.h"
#include "reef/session/schema.h"

namespace reef::persona::internal {
namespace {

constexpr const char* kSummaryTables[] = {"session_summaries", "summary_sentences", "summary_sources"};
/// Of the texts of one piece, for each row that it may have: words take the time.
constexpr std::uint64_t kBytesPerRow = 1024;

/// `words`: number << 40 | id, as schema.h says.
std::string words_id(std::int64_t number, const char* id) {
  return fmt::format("({} | {})", number << session::kPersonaShift, id);
}

class Replacement {
 public:
  Replacement(io::Database& live, std::string persona, const ReplaceOptions& options)
      : live_(live),
        persona_(std::move(persona)),
        options_(options),
        session_columns_(common_columns(live, "copy", "main", "sessions")),
        message_columns_(common_columns(live, "copy", "main", "messages")) {}

  ReplaceReport run() {
    compare();
    if (is_so_already()) return count_rows(), report_;
    report_.transactions = in_transactions(
        live_, ends_.size(), options_.longest,
        [&](std::size_t i) {
          live_.execute("PRAGMA defer_foreign_keys = ON");
          if (i == 0) begin();
          replace_messages(i == 0 ? INT64_MIN : ends_[i - 1], ends_[i]);
        },
        [&](std::size_t done) {
          if (done == ends_.size()) end();
        });
    count_rows();
    return report_;
  }

 private:
  void run(const std::string& sql) {
    auto statement = live_.prepare(sql);
    if (sql.find("?1") != std::string::npos) statement.bind(1, persona_);
    statement.run();
  }
  std::uint64_t count(const std::string& sql) {
    auto statement = live_.prepare(sql);
    if (sql.find("?1") != std::string::npos) statement.bind(1, persona_);
    return statement.step() ? static_cast<std::uint64_t>(statement.integer(0)) : 0;
  }

  /// What differs, as of one moment, with nobody waiting.
  void compare() {
    live_.execute(
        "CREATE TEMP TABLE session_ops (id TEXT PRIMARY KEY, comes INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TEMP TABLE message_ops (id INTEGER PRIMARY KEY, comes INTEGER NOT NULL, bytes INTEGER NOT NULL);"
        "CREATE TEMP TABLE summary_ops (id TEXT PRIMARY KEY) WITHOUT ROWID;"
        "CREATE TEMP TABLE archive_files (id TEXT PRIMARY KEY, file TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE TEMP TABLE now (id INTEGER PRIMARY KEY, comes INTEGER NOT NULL, goes INTEGER NOT NULL,"
        " words_go INTEGER NOT NULL, words_come INTEGER NOT NULL)");
    io::Transaction snapshot(live_, io::Transaction::Kind::read);
    require_own_sessions();
    run(
        fmt::format("INSERT INTO temp.session_ops SELECT c.id, 1 FROM copy.sessions c "
                    "LEFT JOIN main.sessions m ON m.id = c.id WHERE c.persona_id = ?1 AND (m.id IS NULL OR {})",
                    any_differs(session_columns_, "c", "m")));
    run("INSERT INTO temp.session_ops SELECT id, 0 FROM main.sessions WHERE persona_id = ?1 AND id NOT IN "
        "(SELECT id FROM copy.sessions WHERE persona_id = ?1)");
    run(fmt::format(
        "INSERT INTO temp.message_ops SELECT c.id, 1, coalesce(length(c.content), 0) + coalesce(length(m.content), 0) "
        "FROM copy.sessions s JOIN copy.messages c ON c.session_id = s.id LEFT JOIN main.messages m ON m.id = c.id "
        "WHERE s.persona_id = ?1 AND (m.id IS NULL OR {})",
        any_differs(message_columns_, "c", "m")));
    run("INSERT INTO temp.message_ops SELECT m.id, 0, coalesce(length(m.content), 0) "
        "FROM main.sessions s JOIN main.messages m ON m.session_id = s.id WHERE s.persona_id = ?1 AND NOT EXISTS "
        "(SELECT 1 FROM copy.messages c JOIN copy.sessions cs ON cs.id = c.session_id "
        "WHERE c.id = m.id AND cs.persona_id = ?1)");
    require_own_messages("message_ops");
    compare_summaries();
    run("INSERT INTO temp.archive_files SELECT id, archive_file FROM main.sessions "
        "WHERE persona_id = ?1 AND archive_file IS NOT NULL");
    require_archives();
    snapshot.commit();  // what was found is in tables that a rollback would empty
    cut();
  }

  void compare_summaries() {
    for (const char* table : kSummaryTables) {
      const std::string columns = common_columns(live_, "copy", "main", table);
      const auto rows = [&](const char* schema) {
        return fmt::format(
            "SELECT {0} FROM {1}.{2} WHERE session_id IN (SELECT id FROM {1}.sessions "
            "WHERE persona_id = ?1)",
            columns, schema, table);
      };
      for (const auto& [some, others] : {std::pair{"copy", "main"}, std::pair{"main", "copy"}})
        run(fmt::format("INSERT OR IGNORE INTO temp.summary_ops SELECT session_id FROM ({} EXCEPT {})", rows(some),
                        rows(others)));
    }
  }

  void require_own_sessions() {
    auto rows = live_.prepare(
        "SELECT c.id, m.persona_id FROM copy.sessions c JOIN main.sessions m ON m.id = c.id "
        "WHERE c.persona_id = ?1 AND m.persona_id IS NOT ?1 ORDER BY 1");
    rows.bind(1, persona_);
    constexpr int kNamed = 5;
    std::string named;
    int found = 0;
    while (rows.step())
      if (++found <= kNamed)
        named += fmt::format("{}'{}' ({})", named.empty() ? "" : ", ", printable(rows.text(0)), rows.text(1));
    if (found == 0) return;
    if (found > kNamed) named += fmt::format(" and {} more", found - kNamed);
    throw Error(Errc::usage, fmt::format("other personas own sessions that persona '{}' had then: {}", persona_, named),
                "a session's id is unique: 'reef-session delete' removes the present one; nothing was changed");
  }

  /// `table`: message_ops or now.
  void require_own_messages(const char* table) {
    auto rows = live_.prepare(
        fmt::format("SELECT count(*), coalesce(max(s.persona_id), 'nobody') FROM temp.{} o "
                    "JOIN main.messages m ON m.id = o.id LEFT JOIN main.sessions s ON s.id = m.session_id "
                    "WHERE o.comes AND s.persona_id IS NOT ?1",
                    table));
    rows.bind(1, persona_).step();
    if (rows.integer(0) > 0)
      throw Error(Errc::usage,
                  fmt::format("{} of persona '{}' have numbers that are those of others' messages now (such as {}'s)",
                              counted(static_cast<std::uint64_t>(rows.integer(0)), "message"), persona_, rows.text(1)),
                  "'reef-persona import' gives messages new numbers; nothing was changed");
  }

  /// Words of what goes can be taken out only by those who know them.
  void require_archives() {
    auto rows = live_.prepare(
        "SELECT DISTINCT f.file FROM temp.message_ops o JOIN main.messages m ON m.id = o.id "
        "JOIN temp.archive_files f ON f.id = m.session_id WHERE m.archive_offset IS NOT NULL");
    while (rows.step()) archives_.require(std::string(rows.text(0)));
  }

  void cut() {
    report_.came = count("SELECT count(*) FROM temp.message_ops WHERE comes") +
                   count("SELECT count(*) FROM temp.session_ops WHERE comes");
    report_.went = count("SELECT count(*) FROM temp.message_ops WHERE NOT comes") +
                   count("SELECT count(*) FROM temp.session_ops WHERE NOT comes");
    auto rows = live_.prepare("SELECT id, bytes FROM temp.message_ops ORDER BY id");
    std::uint64_t messages = 0, bytes = 0;
    std::int64_t last = 0;
    while (rows.step()) {
      const auto next = static_cast<std::uint64_t>(rows.integer(1));
      if (messages > 0 && (messages == options_.rows_at_once || bytes + next > options_.rows_at_once * kBytesPerRow)) {
        ends_.push_back(last);
        messages = bytes = 0;
      }
      last = rows.integer(0);
      ++messages;
      bytes += next;
    }
    ends_.push_back(INT64_MAX);
  }

  bool is_so_already() {
    if (report_.came + report_.went + count("SELECT count(*) FROM temp.summary_ops") > 0) return false;
    if (!options_.turns_come_too) return true;
    const auto list = [](const char* schema, const char* table) {
      return fmt::format(
          "SELECT p.message FROM {0}.{1} p JOIN {0}.persona_numbers n ON n.number = p.persona "
          "WHERE n.persona_id = ?1",
          schema, table);
    };
    return count(fmt::format("SELECT count(*) FROM ({} EXCEPT {})", list("copy", "pending_messages"),
                             list("main", "pending_messages"))) == 0 &&
           count(fmt::format("SELECT count(*) FROM ({} EXCEPT {})", list("main", "pending_messages"),
                             list("copy", "pending_messages"))) == 0 &&
           count(fmt::format("SELECT count(*) FROM ({} EXCEPT {})", list("copy", "removed_messages"),
                             list("main", "removed_messages"))) == 0;
  }

  /// The first statements of the first transaction: what messages need.
  void begin() {
    run("INSERT INTO main.persona_numbers(persona_id) SELECT ?1 WHERE NOT EXISTS "
        "(SELECT 1 FROM main.persona_numbers WHERE persona_id = ?1)");
    number_ = session::persona_number(live_, persona_);
    require_own_sessions();
    remove_summaries();
    run(
        fmt::format("UPDATE main.sessions SET ({0}) = (SELECT {0} FROM copy.sessions c WHERE c.id = sessions.id) "
                    "WHERE id IN (SELECT id FROM temp.session_ops WHERE comes)",
                    session_columns_));
    run(
        fmt::format("INSERT INTO main.sessions({0}) SELECT {0} FROM copy.sessions WHERE id IN "
                    "(SELECT id FROM temp.session_ops WHERE comes EXCEPT SELECT id FROM main.sessions)",
                    session_columns_));
  }

  void replace_messages(std::int64_t after, std::int64_t until) {
    const std::string words = words_id(number_, "n.id");
    run("DELETE FROM temp.now");
    live_
        .prepare(
            "INSERT INTO temp.now SELECT o.id, o.comes, EXISTS (SELECT 1 FROM main.messages m JOIN main.sessions s "
            "ON s.id = m.session_id WHERE m.id = o.id AND s.persona_id = ?1), 0, 0 FROM temp.message_ops o "
            "WHERE o.id > ?2 AND o.id <= ?3")
        .bind(1, persona_)
        .bind(2, after)
        .bind(3, until)
        .run();
    require_own_messages("now");
    take_in_rivals();
    // Of rows that keep their words nothing is written to the full text.
    run("UPDATE temp.now SET words_go = goes, words_come = comes WHERE NOT EXISTS (SELECT 1 FROM main.messages m "
        "JOIN copy.messages c ON c.id = m.id WHERE m.id = now.id AND now.comes AND now.goes "
        "AND m.content IS c.content AND m.archive_offset IS c.archive_offset)");
    run(
        fmt::format("INSERT INTO main.messages_fts(messages_fts, rowid, content) SELECT 'delete', {0}, m.content "
                    "FROM temp.now n JOIN main.messages m ON m.id = n.id WHERE n.words_go AND m.archive_offset IS NULL "
                    "AND EXISTS (SELECT 1 FROM main.messages_fts_docsize WHERE id = {0}) ORDER BY n.id",
                    words));
    remove_archived_words();
    run("DELETE FROM main.messages WHERE id IN (SELECT id FROM temp.now WHERE goes)");
    run(
        fmt::format("INSERT INTO main.messages({}) SELECT {} FROM temp.now n JOIN copy.messages c ON c.id = n.id "
                    "WHERE n.comes ORDER BY n.id",
                    message_columns_, of_table(message_columns_, "c")));
    run(
        fmt::format("INSERT INTO main.messages_fts(rowid, content) SELECT {0}, m.content "
                    "FROM temp.now n JOIN main.messages m ON m.id = n.id "
                    "WHERE n.words_come AND m.archive_offset IS NULL "
                    "AND NOT EXISTS (SELECT 1 FROM main.messages_fts_docsize WHERE id = {0}) ORDER BY n.id",
                    words));
    add_archived_words();
    if (!options_.turns_come_too) tell_turns();
  }

  /// A message of the same session and name under another number, which a later import may have made, goes with those
  /// whose place it has; what the copy has of that number comes with them.
  void take_in_rivals() {
    for (std::int64_t added = 1; added > 0;) {
      run("INSERT OR IGNORE INTO temp.now SELECT m.id, EXISTS (SELECT 1 FROM temp.message_ops o WHERE o.id = m.id "
          "AND o.comes), 1, 0, 0 FROM temp.now n JOIN copy.messages c ON c.id = n.id JOIN main.messages m "
          "ON m.session_id = c.session_id AND m.external_id = c.external_id AND m.id <> c.id WHERE n.comes");
      added = live_.changes();
    }
  }

  void remove_archived_words() {
    auto rows = live_.prepare(fmt::format(
        "SELECT {0}, f.file, m.archive_offset FROM temp.now n JOIN main.messages m ON m.id = n.id "
        "JOIN temp.archive_files f ON f.id = m.session_id WHERE n.words_go AND m.archive_offset IS NOT NULL "
        "AND EXISTS (SELECT 1 FROM main.messages_fts_docsize WHERE id = {0}) ORDER BY f.file, m.archive_offset",
        words_id(number_, "n.id")));
    auto remove = live_.prepare("INSERT INTO main.messages_fts(messages_fts, rowid, content) VALUES ('delete', ?, ?)");
    while (rows.step())
      remove.bind(1, rows.integer(0)).bind(2, archives_.text(std::string(rows.text(1)), rows.integer(2))).run();
  }

  void add_archived_words() {
    auto rows = live_.prepare(
        fmt::format("SELECT {0}, s.archive_file, m.archive_offset FROM temp.now n JOIN main.messages m ON m.id = n.id "
                    "JOIN main.sessions s ON s.id = m.session_id WHERE n.words_come AND m.archive_offset IS NOT NULL "
                    "AND NOT EXISTS (SELECT 1 FROM main.messages_fts_docsize WHERE id = {0}) ORDER BY n.id",
                    words_id(number_, "n.id")));
    auto add = live_.prepare("INSERT INTO main.messages_fts(rowid, content) VALUES (?, ?)");
    while (rows.step()) {
      try {
        add.bind(1, rows.integer(0)).bind(2, archives_.text(std::string(rows.text(1)), rows.integer(2)));
      } catch (const Error& error) {
        if (error.code() == Errc::interrupted) throw;
        ++report_.unread;
        continue;
      }
      add.run();
    }
  }

  void tell_turns() {
    run(fmt::format("INSERT OR IGNORE INTO main.pending_messages SELECT {}, id FROM temp.now WHERE comes", number_));
    run(
        fmt::format("DELETE FROM main.removed_messages WHERE persona = {} AND message IN "
                    "(SELECT id FROM temp.now WHERE comes)",
                    number_));
    run(
        fmt::format("DELETE FROM main.pending_messages WHERE persona = {} AND message IN "
                    "(SELECT id FROM temp.now WHERE NOT comes)",
                    number_));
    run(fmt::format("INSERT OR IGNORE INTO main.removed_messages SELECT {}, id FROM temp.now WHERE goes AND NOT comes",
                    number_));
  }

  void remove_summaries() {
    for (auto table = std::rbegin(kSummaryTables); table != std::rend(kSummaryTables); ++table)
      run(fmt::format("DELETE FROM main.{} WHERE session_id IN (SELECT id FROM temp.summary_ops)", *table));
  }

  /// The last statements of the last transaction.
  void end() {
    remove_summaries();
    for (const char* table : kSummaryTables) {
      const std::string columns = common_columns(live_, "copy", "main", table);
      run(
          fmt::format("INSERT INTO main.{0}({1}) SELECT {1} FROM copy.{0} WHERE session_id IN "
                      "(SELECT o.id FROM temp.summary_ops o JOIN copy.sessions s ON s.id = o.id "
                      "WHERE s.persona_id = ?1)",
                      table, columns));
    }
    // One that somebody writes to meanwhile stays.
    run("DELETE FROM main.sessions WHERE persona_id = ?1 AND id IN (SELECT id FROM temp.session_ops WHERE NOT comes) "
        "AND NOT EXISTS (SELECT 1 FROM main.messages m WHERE m.session_id = sessions.id)");
    if (options_.turns_come_too) take_lists();
  }

  /// What the vectors do not know yet is what the copy says, and whatever was said meanwhile.
  void take_lists() {
    run(
        fmt::format("DELETE FROM main.pending_messages WHERE persona = {} AND (message IN (SELECT c.id FROM "
                    "copy.sessions s JOIN copy.messages c ON c.session_id = s.id WHERE s.persona_id = ?1) "
                    "OR NOT EXISTS (SELECT 1 FROM main.messages m WHERE m.id = message))",
                    number_));
    for (const char* table : {"pending_messages", "removed_messages"})
      run(
          fmt::format("INSERT OR IGNORE INTO main.{0} SELECT {1}, p.message FROM copy.{0} p "
                      "JOIN copy.persona_numbers n ON n.number = p.persona WHERE n.persona_id = ?1 "
                      "AND EXISTS (SELECT 1 FROM main.messages m WHERE m.id = p.message) = {2}",
                      table, number_, table == std::string_view("pending_messages") ? 1 : 0));
    run(
        fmt::format("DELETE FROM main.removed_messages WHERE persona = {} AND EXISTS "
                    "(SELECT 1 FROM main.messages m WHERE m.id = message)",
                    number_));
  }

  void count_rows() {
    report_.rows = count("SELECT count(*) FROM main.sessions WHERE persona_id = ?1") +
                   count(
                       "SELECT count(*) FROM main.messages m JOIN main.sessions s ON s.id = m.session_id "
                       "WHERE s.persona_id = ?1");
  }

  io::Database& live_;
  std::string persona_;
  const ReplaceOptions& options_;
  std::string session_columns_, message_columns_;
  session::Archives archives_;
  std::vector<std::int64_t> ends_;  ///< of pieces: the numbers of their last messages
  std::int64_t number_ = 0;
  ReplaceReport report_;
};

}  // namespace

ReplaceReport replace_conversations(io::Database& live, const std::string& persona, const ReplaceOptions& options) {
  return Replacement(live, persona, options).run();
}

void extract_conversations(io::Database& copy, const std::string& persona) {
  const auto run = [&](const std::string& sql) {
    auto statement = copy.prepare(sql);
    if (sql.find("?1") != std::string::npos) statement.bind(1, persona);
    statement.run();
  };
  const std::string sessions = common_columns(copy, "source", "main", "sessions");
  const std::string messages = common_columns(copy, "source", "main", "messages");
  // A database of the documented schema alone knows no numbers.
  const bool has_numbers = has_table(copy, "source", "persona_numbers");
  if (has_numbers) run("INSERT INTO main.persona_numbers SELECT * FROM source.persona_numbers WHERE persona_id = ?1");
  run("INSERT INTO main.persona_numbers(persona_id) SELECT ?1 WHERE NOT EXISTS "
      "(SELECT 1 FROM main.persona_numbers WHERE persona_id = ?1)");
  const std::int64_t number = session::persona_number(copy, persona);
  run(fmt::format("INSERT INTO main.sessions({0}) SELECT {0} FROM source.sessions WHERE persona_id = ?1 ORDER BY id",
                  sessions));
  run(
      fmt::format("INSERT INTO main.messages({0}) SELECT {0} FROM source.messages WHERE session_id IN "
                  "(SELECT id FROM main.sessions) ORDER BY id",
                  messages));
  if (has_table(copy, "source", kSummaryTables[0]))
    for (const char* table : kSummaryTables)
      run(
          fmt::format("INSERT INTO main.{0} SELECT * FROM source.{0} WHERE session_id IN "
                      "(SELECT id FROM main.sessions)",
                      table));
  if (has_numbers)
    for (const char* table : {"pending_messages", "removed_messages"})
      run(fmt::format("INSERT INTO main.{0} SELECT * FROM source.{0} WHERE persona = {1}", table, number));
  else
    run(fmt::format("INSERT INTO main.pending_messages SELECT {}, id FROM main.messages", number));
  run(
      fmt::format("INSERT INTO main.messages_fts(rowid, content) SELECT {}, content FROM main.messages "
                  "WHERE archive_offset IS NULL ORDER BY id",
                  words_id(number, "id")));
  auto rows = copy.prepare(
      "SELECT m.id, s.archive_file, m.archive_offset FROM main.messages m JOIN main.sessions s ON s.id = m.session_id "
      "WHERE m.archive_offset IS NOT NULL ORDER BY m.id");
  auto add = copy.prepare("INSERT INTO main.messages_fts(rowid, content) VALUES (?, ?)");
  session::Archives archives;
  while (rows.step()) {
    std::string text;
    try {
      text = archives.text(std::string(rows.text(1)), rows.integer(2));
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      continue;  // its words are not found until 'reef-session index --rebuild-words' sees the archive
    }
    add.bind(1, (number << session::kPersonaShift) | rows.integer(0)).bind(2, text).run();
  }
}

}  // namespace reef::persona::internal
