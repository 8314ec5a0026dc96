#include "reef/session/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/session/database_copy.h"
#include "reef/session/internal/locks.h"

namespace reef::session {
namespace {

constexpr const char* kMigrations[] = {
    // The document's own.
    R"sql(
CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  persona_id TEXT NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  title TEXT,
  summary TEXT
);
CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  session_id TEXT REFERENCES sessions(id),
  role TEXT NOT NULL,
  content TEXT NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  tokens INTEGER,
  metadata JSON
);
CREATE INDEX idx_messages_session ON messages(session_id);
)sql",
    // persona_numbers: small numbers for personas, never given again. pending_messages and removed_messages: what
    // vectors/conversations/<persona> does not know yet.
    R"sql(
ALTER TABLE sessions ADD COLUMN archive_file TEXT;
ALTER TABLE messages ADD COLUMN external_id TEXT;
ALTER TABLE messages ADD COLUMN speaker TEXT;
ALTER TABLE messages ADD COLUMN archive_offset INTEGER;
CREATE UNIQUE INDEX messages_external ON messages(session_id, external_id);
DROP INDEX idx_messages_session;
CREATE INDEX idx_messages_session ON messages(session_id, created_at, id);
CREATE INDEX sessions_persona ON sessions(persona_id);

CREATE TABLE persona_numbers (number INTEGER PRIMARY KEY AUTOINCREMENT, persona_id TEXT NOT NULL UNIQUE);
CREATE TABLE pending_messages (
  persona INTEGER NOT NULL,
  message INTEGER NOT NULL,
  PRIMARY KEY (persona, message)
) WITHOUT ROWID;
CREATE TABLE removed_messages (
  persona INTEGER NOT NULL,
  message INTEGER NOT NULL,
  PRIMARY KEY (persona, message)
) WITHOUT ROWID;
CREATE VIEW session_numbers AS
  SELECT s.id AS session_id, n.number AS number FROM sessions s JOIN persona_numbers n ON n.persona_id = s.persona_id;
CREATE VIEW message_texts AS
  SELECT (n.number << 40) | m.id AS id, m.content AS content
  FROM messages m JOIN session_numbers n ON n.session_id = m.session_id;
CREATE VIRTUAL TABLE messages_fts USING fts5(
  content, content = 'message_texts', content_rowid = 'id', tokenize = 'porter unicode61');

INSERT OR IGNORE INTO persona_numbers(persona_id) SELECT DISTINCT persona_id FROM sessions;
INSERT INTO messages_fts(rowid, content) SELECT id, content FROM message_texts;
INSERT INTO pending_messages
  SELECT n.number, m.id FROM messages m JOIN session_numbers n ON n.session_id = m.session_id;

CREATE TRIGGER sessions_insert AFTER INSERT ON sessions BEGIN
  INSERT OR IGNORE INTO persona_numbers(persona_id) VALUES (new.persona_id);
END;
CREATE TRIGGER messages_insert AFTER INSERT ON messages BEGIN
  INSERT INTO messages_fts(rowid, content)
    SELECT (number << 40) | new.id, new.content FROM session_numbers WHERE session_id = new.session_id;
  INSERT INTO pending_messages SELECT number, new.id FROM session_numbers WHERE session_id = new.session_id;
END;
-- Of an archived message the text leaves the table and stays in the full text: archive_offset comes with it.
CREATE TRIGGER messages_update AFTER UPDATE OF content ON messages
WHEN new.content <> old.content AND new.archive_offset IS NULL AND old.archive_offset IS NULL BEGIN
  INSERT INTO messages_fts(messages_fts, rowid, content)
    SELECT 'delete', (number << 40) | old.id, old.content FROM session_numbers WHERE session_id = old.session_id;
  INSERT INTO messages_fts(rowid, content)
    SELECT (number << 40) | new.id, new.content FROM session_numbers WHERE session_id = new.session_id;
  INSERT OR IGNORE INTO pending_messages
    SELECT number, new.id FROM session_numbers WHERE session_id = new.session_id;
END;
CREATE TRIGGER messages_delete AFTER DELETE ON messages WHEN old.archive_offset IS NULL BEGIN
  INSERT INTO messages_fts(messages_fts, rowid, content)
    SELECT 'delete', (number << 40) | old.id, old.content FROM session_numbers WHERE session_id = old.session_id;
END;
CREATE TRIGGER messages_gone AFTER DELETE ON messages BEGIN
  DELETE FROM pending_messages WHERE message = old.id
    AND persona = (SELECT number FROM session_numbers WHERE session_id = old.session_id);
  INSERT OR IGNORE INTO removed_messages
    SELECT number, old.id FROM session_numbers WHERE session_id = old.session_id;
END;
)sql",
    // session_summaries: that sessions.summary is a language model's, and of which messages (how many, the time of the
    // last) it was made. It goes when somebody else writes sessions.summary, and with the summary when a message of the
    // session is removed or changed.
    R"sql(
CREATE TABLE session_summaries (
  session_id TEXT PRIMARY KEY REFERENCES sessions(id),
  model TEXT NOT NULL,
  created_at TEXT NOT NULL,
  messages INTEGER NOT NULL,
  last_message TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE summary_sentences (
  session_id TEXT NOT NULL REFERENCES session_summaries(session_id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  sentence TEXT NOT NULL,
  PRIMARY KEY (session_id, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE summary_sources (
  session_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  message INTEGER NOT NULL REFERENCES messages(id),
  PRIMARY KEY (session_id, number, message),
  FOREIGN KEY (session_id, number) REFERENCES summary_sentences(session_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX summary_sources_message ON summary_sources(message);

-- Other programs may have no foreign keys.
CREATE TRIGGER session_summaries_gone AFTER DELETE ON session_summaries BEGIN
  DELETE FROM summary_sources WHERE session_id = old.session_id;
  DELETE FROM summary_sentences WHERE session_id = old.session_id;
END;
CREATE TRIGGER sessions_summary AFTER UPDATE OF summary ON sessions WHEN new.summary IS NOT old.summary BEGIN
  DELETE FROM session_summaries WHERE session_id = new.id;
END;
CREATE TRIGGER sessions_gone AFTER DELETE ON sessions BEGIN
  DELETE FROM session_summaries WHERE session_id = old.id;
END;
CREATE TRIGGER messages_gone_summary AFTER DELETE ON messages
WHEN EXISTS (SELECT 1 FROM session_summaries WHERE session_id = old.session_id) BEGIN
  UPDATE sessions SET summary = NULL WHERE id = old.session_id;
  DELETE FROM session_summaries WHERE session_id = old.session_id;
END;
CREATE TRIGGER messages_update_summary AFTER UPDATE OF content ON messages
WHEN new.content <> old.content AND new.archive_offset IS NULL AND old.archive_offset IS NULL
  AND EXISTS (SELECT 1 FROM session_summaries WHERE session_id = old.session_id) BEGIN
  UPDATE sessions SET summary = NULL WHERE id = old.session_id;
  DELETE FROM session_summaries WHERE session_id = old.session_id;
END;
)sql",
    // What is moved takes its words along, but for those of archived messages, which cannot be taken out without their
    // archive. What was there before its session was, or under a persona without a number, is found now. OR IGNORE
    // within a trigger means OR REPLACE where the statement says that: a persona must not get another number by it.
    R"sql(
INSERT OR IGNORE INTO persona_numbers(persona_id) SELECT DISTINCT persona_id FROM sessions;
INSERT OR IGNORE INTO pending_messages
  SELECT n.number, m.id FROM messages m JOIN session_numbers n ON n.session_id = m.session_id
  WHERE NOT EXISTS (SELECT 1 FROM messages_fts_docsize w WHERE w.id = (n.number << 40 | m.id));
INSERT INTO messages_fts(rowid, content)
  SELECT (n.number << 40) | m.id, m.content FROM messages m JOIN session_numbers n ON n.session_id = m.session_id
  WHERE m.archive_offset IS NULL
    AND NOT EXISTS (SELECT 1 FROM messages_fts_docsize w WHERE w.id = (n.number << 40 | m.id));

DROP TRIGGER sessions_insert;
CREATE TRIGGER sessions_insert AFTER INSERT ON sessions BEGIN
  INSERT INTO persona_numbers(persona_id)
    SELECT new.persona_id WHERE new.persona_id NOT IN (SELECT persona_id FROM persona_numbers);
  INSERT OR IGNORE INTO pending_messages
    SELECT n.number, m.id FROM messages m JOIN session_numbers n ON n.session_id = m.session_id
    WHERE m.session_id = new.id
      AND NOT EXISTS (SELECT 1 FROM messages_fts_docsize w WHERE w.id = (n.number << 40 | m.id));
  INSERT INTO messages_fts(rowid, content)
    SELECT (n.number << 40) | m.id, m.content FROM messages m JOIN session_numbers n ON n.session_id = m.session_id
    WHERE m.session_id = new.id AND m.archive_offset IS NULL
      AND NOT EXISTS (SELECT 1 FROM messages_fts_docsize w WHERE w.id = (n.number << 40 | m.id));
END;
CREATE TRIGGER sessions_update AFTER UPDATE OF persona_id ON sessions WHEN new.persona_id <> old.persona_id BEGIN
  SELECT RAISE(ABORT, 'a session with archived messages stays with its persona')
    WHERE EXISTS (SELECT 1 FROM messages WHERE session_id = new.id AND archive_offset IS NOT NULL);
  INSERT INTO persona_numbers(persona_id)
    SELECT new.persona_id WHERE new.persona_id NOT IN (SELECT persona_id FROM persona_numbers);
  INSERT INTO messages_fts(messages_fts, rowid, content)
    SELECT 'delete', (n.number << 40) | m.id, m.content FROM messages m, persona_numbers n
    WHERE m.session_id = new.id AND n.persona_id = old.persona_id;
  INSERT INTO messages_fts(rowid, content)
    SELECT (n.number << 40) | m.id, m.content FROM messages m, persona_numbers n
    WHERE m.session_id = new.id AND n.persona_id = new.persona_id;
  DELETE FROM pending_messages WHERE persona = (SELECT number FROM persona_numbers WHERE persona_id = old.persona_id)
    AND message IN (SELECT id FROM messages WHERE session_id = new.id);
  INSERT OR IGNORE INTO removed_messages
    SELECT n.number, m.id FROM messages m, persona_numbers n
    WHERE m.session_id = new.id AND n.persona_id = old.persona_id;
  INSERT OR IGNORE INTO pending_messages
    SELECT n.number, m.id FROM messages m, persona_numbers n
    WHERE m.session_id = new.id AND n.persona_id = new.persona_id;
END;
CREATE TRIGGER sessions_renamed BEFORE UPDATE OF id ON sessions WHEN new.id <> old.id BEGIN
  SELECT RAISE(ABORT, 'a session with messages keeps its id')
    WHERE EXISTS (SELECT 1 FROM messages WHERE session_id = old.id);
END;
CREATE TRIGGER sessions_delete BEFORE DELETE ON sessions BEGIN
  SELECT RAISE(ABORT, 'the messages of a session go before it')
    WHERE EXISTS (SELECT 1 FROM messages WHERE session_id = old.id);
END;
CREATE TRIGGER messages_moved BEFORE UPDATE OF session_id, id ON messages
WHEN old.archive_offset IS NOT NULL AND (new.session_id IS NOT old.session_id OR new.id <> old.id) BEGIN
  SELECT RAISE(ABORT, 'an archived message keeps its id and its session');
END;
CREATE TRIGGER messages_moved_summary AFTER UPDATE OF session_id, id ON messages
WHEN (new.session_id IS NOT old.session_id OR new.id <> old.id)
  AND EXISTS (SELECT 1 FROM session_summaries WHERE session_id = old.session_id) BEGIN
  UPDATE sessions SET summary = NULL WHERE id = old.session_id;
  DELETE FROM session_summaries WHERE session_id = old.session_id;
END;
DROP TRIGGER messages_update;
CREATE TRIGGER messages_update AFTER UPDATE OF content, session_id, id ON messages
WHEN new.archive_offset IS NULL AND old.archive_offset IS NULL
  AND (new.content <> old.content OR new.session_id IS NOT old.session_id OR new.id <> old.id) BEGIN
  INSERT INTO messages_fts(messages_fts, rowid, content)
    SELECT 'delete', (number << 40) | old.id, old.content FROM session_numbers WHERE session_id = old.session_id;
  INSERT INTO messages_fts(rowid, content)
    SELECT (number << 40) | new.id, new.content FROM session_numbers WHERE session_id = new.session_id;
  DELETE FROM pending_messages WHERE message = old.id
    AND persona = (SELECT number FROM session_numbers WHERE session_id = old.session_id);
  INSERT OR IGNORE INTO removed_messages
    SELECT number, old.id FROM session_numbers WHERE session_id = old.session_id
      AND (new.session_id IS NOT old.session_id OR new.id <> old.id);
  INSERT OR IGNORE INTO pending_messages
    SELECT number, new.id FROM session_numbers WHERE session_id = new.session_id;
END;
)sql"};
static_assert(std::size(kMigrations) == kConversationsVersion);

constexpr std::chrono::seconds kWhileAnotherMakesIt{10};
constexpr int kLookedAt = 1000;  ///< names in a folder, for a start that takes no longer

/// What a killed run left is removed by the next one that writes, whatever it does; where there are very many folders
/// of attachments, by the next one that archives, deletes or verifies.
bool has_leftovers(const tree::Tree& tree) {
  int looked_at = 0;
  for (const auto& entry : std::filesystem::directory_iterator(tree.conversations())) {
    if (io::is_temporary_name(entry.path().filename().string())) return true;
    if (++looked_at == kLookedAt) break;
  }
  return false;
}

/// Whether another program made it by the documented schema alone: it has no version then.
bool is_documents_own(io::Database& database) {
  auto version = database.prepare("PRAGMA user_version");
  if (!version.step() || version.integer(0) != 0) return false;
  auto tables =
      database.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('sessions', 'messages')");
  return tables.step() && tables.integer(0) == 2;
}

/// Gives it the version that it has; false where it is something else.
bool adopt_documents_own(const std::filesystem::path& file) {
  io::Database database(file, io::OpenMode::write);
  io::Transaction transaction(database);
  if (!is_documents_own(database)) return false;
  constexpr std::pair<const char*, const char*> kColumns[] = {
      {"sessions", "id persona_id created_at updated_at title summary"},
      {"messages", "id session_id role content created_at tokens metadata"}};
  for (const auto& [table, columns] : kColumns) {
    auto missing = database.prepare(
        "SELECT 1 FROM pragma_table_info(?1) t WHERE instr(' ' || ?2 || ' ', ' ' || t.name || ' ') > 0 "
        "AND (?1 = 'sessions' OR t.name <> 'id' OR (t.pk = 1 AND upper(t.type) = 'INTEGER'))");
    missing.bind(1, table).bind(2, columns);
    auto wanted = std::count(columns, columns + std::char_traits<char>::length(columns), ' ') + 1;
    while (missing.step()) --wanted;
    if (wanted > 0)
      throw Error(Errc::usage, fmt::format("{}: table {} has not the columns {}", io::shown(file), table, columns),
                  "reef-tree(5) says what it has to be; move the file elsewhere, or bring it into that form");
  }
  database.execute("CREATE INDEX IF NOT EXISTS idx_messages_session ON messages(session_id); PRAGMA user_version = 1");
  transaction.commit();
  return true;
}

io::Database open_newest(const std::filesystem::path& file) {
  try {
    return io::open_or_make(file, kMigrations, io::temporary_name(file));
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt || !adopt_documents_own(file)) throw;
  }
  return io::open_or_make(file, kMigrations, io::temporary_name(file));
}

}  // namespace

std::filesystem::path conversations_file(const tree::Tree& tree) {
  return tree.conversations() / "conversations.sqlite";
}

io::Database open_conversations(const tree::Tree& tree) {
  const auto file = conversations_file(tree);
  std::optional<io::LockFile> lock;
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    lock.emplace(internal::lock_conversations(tree, kWhileAnotherMakesIt));
  } else if (has_leftovers(tree)) {
    try {
      lock.emplace(internal::lock_conversations(tree, {}));
    } catch (const Error& held) {  // they are of a run that is at it
      if (held.code() != Errc::locked) throw;
    }
  }
  return open_conversations_copy(file);
}

io::Database open_conversations_copy(const std::filesystem::path& file) {
  auto database = open_newest(file);
  // FTS5 of this SQLite does not say that triggers may use it.
  database.execute("PRAGMA trusted_schema = ON");
  return database;
}

io::Database read_conversations(const tree::Tree& tree) {
  try {
    io::Database database(conversations_file(tree), io::OpenMode::read);
    io::require_version(database, kConversationsVersion);
    return database;
  } catch (const Error& error) {
    if (error.code() == Errc::corrupt) {
      io::Database database(conversations_file(tree), io::OpenMode::read);
      if (is_documents_own(database))
        throw Error(Errc::usage, fmt::format("{} was made by another program", io::shown(database.path())),
                    "run 'reef-session index --all' once, which adds what is searched");
    }
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::not_found, "there are no conversations in this tree", "run 'reef-session import' first");
  }
}

std::int64_t persona_number(io::Database& conversations, std::string_view persona) {
  auto find = conversations.prepare("SELECT number FROM persona_numbers WHERE persona_id = ?");
  find.bind(1, persona);
  return find.step() ? find.integer(0) : 0;
}

}  // namespace reef::session
