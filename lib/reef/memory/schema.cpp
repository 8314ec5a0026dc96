#include "reef/memory/schema.h"

#include <fmt/format.h>

#include <iterator>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/memory/search_map.h"
#include "reef/session/turn_map.h"
#include "reef/tree/folders.h"

namespace reef::memory {
namespace {

constexpr const char* kMigrations[] = {
    // The document's own.
    R"sql(
CREATE TABLE memories (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  persona_id TEXT NOT NULL,
  content TEXT NOT NULL,
  embedding BLOB,
  importance REAL DEFAULT 0.5,
  recency REAL DEFAULT 1.0,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  last_accessed TIMESTAMP,
  access_count INTEGER DEFAULT 0,
  source_session TEXT,
  source_message INTEGER,
  tags JSON
);
CREATE INDEX idx_memories_persona ON memories(persona_id);
CREATE INDEX idx_memories_importance ON memories(persona_id, importance DESC);
)sql",
    // memory_sources: the messages that said it, more than one after a merge. decisions: what became of each message,
    // with the terms of its score; the short-term buffer is the rows in state 'buffered'. rank: the order in which
    // messages were scored. tombstones: what must not be learned again.
    R"sql(
ALTER TABLE memories ADD COLUMN speaker TEXT;
ALTER TABLE memories ADD COLUMN content_hash TEXT;
ALTER TABLE memories ADD COLUMN vector_row INTEGER;
ALTER TABLE memories ADD COLUMN valid_to TIMESTAMP;
ALTER TABLE memories ADD COLUMN superseded_by INTEGER REFERENCES memories(id);
CREATE INDEX memories_hash ON memories(content_hash);
CREATE UNIQUE INDEX memories_row ON memories(vector_row);

CREATE TABLE memory_sources (
  memory INTEGER NOT NULL REFERENCES memories(id) ON DELETE CASCADE,
  message INTEGER NOT NULL,
  session TEXT NOT NULL,
  external_id TEXT,
  speaker TEXT,
  created_at TEXT NOT NULL,
  PRIMARY KEY (memory, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_sources_message ON memory_sources(message);
CREATE INDEX memory_sources_session ON memory_sources(session);

CREATE TABLE decisions (
  rank INTEGER PRIMARY KEY,
  message INTEGER NOT NULL UNIQUE,
  session TEXT NOT NULL,
  created_at TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('discarded', 'buffered', 'dropped', 'remembered', 'merged', 'forgotten')),
  score REAL NOT NULL,
  logit REAL NOT NULL,
  shift REAL NOT NULL,
  emotion REAL NOT NULL,
  request REAL NOT NULL,
  novelty REAL NOT NULL,
  nearest REAL NOT NULL,
  reference REAL NOT NULL,
  personal REAL NOT NULL,
  answer INTEGER NOT NULL,
  question INTEGER NOT NULL,
  greeting INTEGER NOT NULL,
  mentions INTEGER NOT NULL DEFAULT 0,
  second_score REAL,
  memory INTEGER,
  decided_at TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_buffered ON decisions(created_at) WHERE state = 'buffered';
CREATE INDEX decisions_memory ON decisions(memory) WHERE memory IS NOT NULL;

CREATE TABLE term_counts (hash INTEGER PRIMARY KEY, messages INTEGER NOT NULL) STRICT;
CREATE TABLE known_entities (hash INTEGER PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE entities (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  UNIQUE (name, kind)
) STRICT;
CREATE TABLE memory_entities (
  memory INTEGER NOT NULL REFERENCES memories(id) ON DELETE CASCADE,
  entity INTEGER NOT NULL REFERENCES entities(id),
  PRIMARY KEY (memory, entity)
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_entities_entity ON memory_entities(entity);
CREATE TABLE links (
  memory INTEGER NOT NULL REFERENCES memories(id) ON DELETE CASCADE,
  other INTEGER NOT NULL REFERENCES memories(id) ON DELETE CASCADE,
  weight REAL NOT NULL,
  PRIMARY KEY (memory, other)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_other ON links(other);
CREATE TABLE tombstones (
  message INTEGER,
  content_hash TEXT,
  forgotten_at TEXT NOT NULL
) STRICT;
CREATE INDEX tombstones_message ON tombstones(message) WHERE message IS NOT NULL;
CREATE INDEX tombstones_hash ON tombstones(content_hash) WHERE content_hash IS NOT NULL;
CREATE TABLE progress (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE VIRTUAL TABLE memories_fts USING fts5(
  content, content = 'memories', content_rowid = 'id', tokenize = 'porter unicode61');
INSERT INTO memories_fts(memories_fts) VALUES ('rebuild');
CREATE TRIGGER memories_insert AFTER INSERT ON memories BEGIN
  INSERT INTO memories_fts(rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER memories_update AFTER UPDATE OF content ON memories WHEN new.content <> old.content BEGIN
  INSERT INTO memories_fts(memories_fts, rowid, content) VALUES ('delete', old.id, old.content);
  INSERT INTO memories_fts(rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER memories_delete AFTER DELETE ON memories BEGIN
  INSERT INTO memories_fts(memories_fts, rowid, content) VALUES ('delete', old.id, old.content);
END;
)sql",
    // slot and slot_value: hashes of what a memory says of its speaker ("my X is Y"). vector_state: rows counts the
    // numbers that vector_row was given; serial grows when they are given anew or vectors change, and embeddings.npy is
    // the file of that serial, with file_rows rows, once `written` says so. manual: a link that somebody made.
    // memories_search: what a search asks of every memory, by session; the table itself carries the vectors along.
    R"sql(
ALTER TABLE memories ADD COLUMN slot INTEGER;
ALTER TABLE memories ADD COLUMN slot_value INTEGER;
ALTER TABLE memories ADD COLUMN valence REAL;
ALTER TABLE memories ADD COLUMN arousal REAL;
CREATE INDEX memories_slot ON memories(slot) WHERE slot IS NOT NULL;
CREATE INDEX memories_search
  ON memories(source_session, created_at, source_message, speaker, importance, vector_row);
CREATE INDEX memories_superseded ON memories(superseded_by) WHERE superseded_by IS NOT NULL;
ALTER TABLE links ADD COLUMN manual INTEGER NOT NULL DEFAULT 0;
CREATE TABLE vector_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  model TEXT NOT NULL DEFAULT '',
  model_digest TEXT NOT NULL DEFAULT '',
  dim INTEGER NOT NULL DEFAULT 0,
  rows INTEGER NOT NULL DEFAULT 0,
  serial INTEGER NOT NULL DEFAULT 0,
  written INTEGER NOT NULL DEFAULT 0,
  file_rows INTEGER NOT NULL DEFAULT 0,
  threshold REAL,
  calibrated INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO vector_state(id) VALUES (1);
)sql",
    // model: which language model scored the message a day later. Its reason is kept for what is remembered alone, and
    // goes with whatever is forgotten: it may quote.
    R"sql(
ALTER TABLE decisions ADD COLUMN model TEXT;
ALTER TABLE decisions ADD COLUMN model_score REAL;
ALTER TABLE decisions ADD COLUMN model_reason TEXT;
)sql",
    // origin: internal::origin_of() the message, for numbers that start again.
    R"sql(
ALTER TABLE decisions ADD COLUMN origin INTEGER;
ALTER TABLE tombstones ADD COLUMN origin INTEGER;
)sql"};

std::vector<const char*> migrations() {
  static const std::string search_map = std::string(session::TurnMap::kSchema) + kSearchMapSchema;
  std::vector<const char*> all(std::begin(kMigrations), std::end(kMigrations));
  all.push_back(search_map.c_str());
  return all;
}

}  // namespace

std::filesystem::path memories_file(const tree::Tree& tree, const std::string& persona) {
  return tree.memories(persona) / "memories.sqlite";
}

io::Database open_memories(const tree::Tree& tree, const std::string& persona) {
  const auto file = memories_file(tree, persona);
  tree::make_folders(file.parent_path());
  auto database = io::open_or_make(file, migrations(), io::temporary_name(file));
  // FTS5 of this SQLite does not say that triggers may use it.
  database.execute("PRAGMA trusted_schema = ON");
  return database;
}

io::Database no_memories() {
  io::Database database(":memory:", io::OpenMode::create);
  io::migrate(database, migrations());
  database.execute("PRAGMA trusted_schema = ON");
  return database;
}

io::Database read_memories(const tree::Tree& tree, const std::string& persona) {
  try {
    io::Database database(memories_file(tree, persona), io::OpenMode::read);
    io::require_version(database, kMemoriesVersion);
    return database;
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::not_found, fmt::format("persona '{}' has no memories yet", persona),
                fmt::format("run 'reef-memory consolidate --persona {}' after a conversation was imported", persona));
  }
}

}  // namespace reef::memory
