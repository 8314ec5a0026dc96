#include "reef/persona/internal/copies.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "reef/core/error.h"
#include "reef/document/registry.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/io/sqlite_mode.h"
#include "reef/memory/schema.h"
#include "reef/persona/internal/folders.h"
#include "reef/persona/internal/tables.h"
#include "reef/session/database_copy.h"
#include "reef/session/schema.h"
#include "reef/session/turn_map.h"
#include "reef/session/turn_store.h"

namespace reef::persona::internal {
namespace {

constexpr const char* kAgain = "export the persona again";

fs::path conversations_in(const fs::path& folder) { return folder / "conversations.sqlite"; }
fs::path memories_in(const fs::path& folder) { return folder / "memories/memories.sqlite"; }

io::Database open_quietly(const fs::path& file) {
  io::Database database(file, io::OpenMode::write);
  io::leave_triggers_out(database);
  return database;
}

std::string schema_of(io::Database& database) {
  auto rows = database.prepare(
      "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name");
  std::string schema;
  while (rows.step()) schema += fmt::format("{} {} {}\n", rows.text(0), rows.text(1), rows.text(2));
  return schema;
}

/// Tables may be another program's, older or newer; what runs by itself must be ours.
void require_own_schema(io::Database& database, io::Database fresh, const std::string& file, const char* name) {
  if (one_number(database, "PRAGMA user_version") != one_number(fresh, "PRAGMA user_version")) return;
  if (schema_of(database) != schema_of(fresh))
    throw Error(Errc::corrupt, fmt::format("{}: {} is not laid out as reef does it", file, name), kAgain);
}

void bind_and_run(io::Database& database, const char* sql, const std::string& from, const std::string& to) {
  database.prepare(sql).bind(1, to).bind(2, from).run();
}

/// First and last number of a message.
std::pair<std::int64_t, std::int64_t> range_of(io::Database& conversations) {
  auto rows = conversations.prepare("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM messages");
  rows.step();
  return {rows.integer(0), rows.integer(1)};
}

/// As many numbers as a copy spans, from the tree's own sequence on: what is added meanwhile comes behind them. Returns
/// the first one, which is greater than `above`.
std::int64_t reserve(io::Database& live, std::int64_t count, std::int64_t above) {
  io::Transaction transaction(live);
  live.execute(
      "INSERT INTO sqlite_sequence(name, seq) SELECT 'messages', 0 WHERE NOT EXISTS "
      "(SELECT 1 FROM sqlite_sequence WHERE name = 'messages')");
  const std::int64_t last =
      std::max(above, one_number(live, "SELECT seq FROM sqlite_sequence WHERE name = 'messages'"));
  constexpr std::int64_t kMost = std::int64_t{1} << session::kPersonaShift;
  if (count < 0 || last > kMost - count)
    throw Error(Errc::failed, "there are not so many numbers for messages left",
                "the messages of the archive are numbered very far apart: export the persona again");
  live.prepare("UPDATE sqlite_sequence SET seq = ? WHERE name = 'messages'").bind(1, last + count).run();
  transaction.commit();
  return last + 1;
}

void shift_turns(const fs::path& folder, std::int64_t by) {
  const fs::path file = folder / "turns/metadata.sqlite";
  if (!is_there(file)) return;
  io::Database database(file, io::OpenMode::write);
  io::require_version(database, session::kTurnsVersion);
  session::TurnMap map;
  map.load(database, kAgain);
  std::vector<session::Turn> turns = map.turns();
  for (session::Turn& turn : turns) turn.id += turn.is_removed() ? -by : by;
  io::Transaction transaction(database);
  map.assign(std::move(turns));
  map.save(database);
  transaction.commit();
  database.checkpoint();
  fs::remove(folder / "turns/id_mapping.json");  // made again, once it is in place
}

void shift_memories(const fs::path& folder, std::int64_t by) {
  if (!is_there(memories_in(folder))) return;
  io::Database database = open_quietly(memories_in(folder));
  io::Transaction transaction(database);
  for (const char* sql : {"UPDATE memories SET source_message = source_message + ? WHERE source_message > 0",
                          "UPDATE memory_sources SET message = message + ? WHERE message > 0",
                          "UPDATE decisions SET message = message + ? WHERE message > 0",
                          "UPDATE tombstones SET message = message + ? WHERE message > 0",
                          "UPDATE progress SET value = value + ? WHERE key = 'decided_up_to'"})
    database.prepare(sql).bind(1, by).run();
  // What it looks at to see whether numbers began again; and requests that name messages by number.
  database.execute("DELETE FROM progress WHERE key IN ('numbers', 'forget_messages', 'forget_sessions')");
  transaction.commit();
  database.checkpoint();
}

}  // namespace

void check_databases(const fs::path& folder, const std::string& file) {
  for (const char* name : {"conversations.sqlite", "documents.sqlite", "memories/memories.sqlite",
                           "turns/metadata.sqlite", "vectors/metadata.sqlite"}) {
    if (!is_there(folder / name)) continue;
    io::Database database = open_quietly(folder / name);
    if (const std::string damage = database.integrity(); !damage.empty())
      throw Error(Errc::corrupt, fmt::format("{}: {}: {}", file, name, damage), kAgain);
    if (std::string_view(name).starts_with("memories")) require_own_schema(database, memory::no_memories(), file, name);
  }
}

void rename_copies(const fs::path& folder, const std::string& from, const std::string& to) {
  if (from == to) return;
  if (is_there(conversations_in(folder))) {
    io::Database database = open_quietly(conversations_in(folder));
    io::Transaction transaction(database);
    database.prepare("DELETE FROM persona_numbers WHERE persona_id = ?").bind(1, to).run();
    bind_and_run(database, "UPDATE persona_numbers SET persona_id = ? WHERE persona_id = ?", from, to);
    bind_and_run(database, "UPDATE sessions SET persona_id = ? WHERE persona_id = ?", from, to);
    transaction.commit();
  }
  if (is_there(folder / "documents.sqlite")) {
    io::Database database = open_quietly(folder / "documents.sqlite");
    bind_and_run(database, "UPDATE sources SET scope = 'persona:' || ? WHERE scope = 'persona:' || ?", from, to);
  }
  if (is_there(memories_in(folder))) {
    io::Database database = open_quietly(memories_in(folder));
    bind_and_run(database, "UPDATE memories SET persona_id = ? WHERE persona_id = ?", from, to);
    database.execute("DELETE FROM progress WHERE key = 'json_exports'");
  }
}

void renumber_copies(const tree::Tree& tree, const fs::path& folder) {
  if (!is_there(conversations_in(folder))) return;
  io::Database copy = session::open_conversations_copy(conversations_in(folder));
  io::leave_triggers_out(copy);
  const auto [first, last] = range_of(copy);
  if (last == 0) return;
  std::int64_t by = 0;
  {
    io::Database live = session::open_conversations(tree);
    by = reserve(live, last - first + 1, last) - first;
  }
  io::Transaction transaction(copy);
  copy.execute("PRAGMA defer_foreign_keys = ON");
  // Upwards beyond all that there are: none of the new numbers is one of an old row.
  for (const char* sql :
       {"UPDATE summary_sources SET message = message + ?", "UPDATE messages SET id = id + ?",
        "UPDATE pending_messages SET message = message + ?", "UPDATE removed_messages SET message = message + ?"})
    copy.prepare(sql).bind(1, by).run();
  transaction.commit();
  copy.checkpoint();
  shift_turns(folder, by);
  shift_memories(folder, by);
}

}  // namespace reef::persona::internal
