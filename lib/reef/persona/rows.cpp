#include "reef/persona/rows.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/document/registry.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/io/sqlite_mode.h"
#include "reef/persona/internal/shared_rows.h"
#include "reef/persona/internal/tables.h"
#include "reef/session/database_copy.h"
#include "reef/session/schema.h"
#include "reef/tree/persona.h"

namespace reef::persona {
namespace {

/// At the present version; made when absent.
io::Database open_copy(const fs::path& file, Shared which) {
  if (which == Shared::conversations) return session::open_conversations_copy(file);
  document::Registry(file, io::temporary_name(file));
  return {file, io::OpenMode::write};
}

io::Database open_live(const tree::Tree& tree, Shared which) {
  if (which == Shared::conversations) return session::open_conversations(tree);
  return open_copy(tree.registry(), which);
}

/// Nothing of a file that is not our own runs: neither triggers nor functions that views of it may name.
void distrust(io::Database& database) {
  io::leave_triggers_out(database);
  database.execute("PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY");
}

void require_not_newer(io::Database& database, const char* schema, const fs::path& file, Shared which) {
  const int known = which == Shared::conversations ? session::kConversationsVersion : document::Registry::kVersion;
  const auto version = internal::one_number(database, fmt::format("PRAGMA {}.user_version", schema));
  if (version > known)
    throw Error(
        Errc::usage,
        fmt::format("{} is of version {}, and this program knows versions up to {}", io::shown(file), version, known),
        "use the version of reef that wrote it, or a newer one");
}

}  // namespace

fs::path shared_file(const tree::Tree& tree, Shared which) {
  return which == Shared::conversations ? session::conversations_file(tree) : tree.registry();
}

Counts count_rows(const fs::path& database, Shared which, const std::string& persona) {
  constexpr std::pair<const char*, const char*> kOfConversations[] = {
      {"sessions", "SELECT count(*) FROM sessions WHERE persona_id = ?"},
      {"messages", "SELECT count(*) FROM messages m JOIN sessions s ON s.id = m.session_id WHERE s.persona_id = ?"}};
  constexpr std::pair<const char*, const char*> kOfDocuments[] = {
      {"sources", "SELECT count(*) FROM sources WHERE scope = 'persona:' || ?"}};
  Counts counts;
  std::error_code absent;
  const bool is_there = fs::exists(database, absent);
  io::Database file = is_there ? io::Database(database, io::OpenMode::read) : io::Database();
  const auto add = [&](const auto& tables) {
    for (const auto& [table, sql] : tables) {
      std::uint64_t rows = 0;
      if (is_there) {
        auto count = file.prepare(sql);
        count.bind(1, persona).step();
        rows = static_cast<std::uint64_t>(count.integer(0));
      }
      counts.emplace_back(table, rows);
    }
  };
  if (which == Shared::conversations)
    add(kOfConversations);
  else
    add(kOfDocuments);
  return counts;
}

void extract_rows(const fs::path& database, Shared which, const std::string& persona, const fs::path& copy) {
  tree::require_persona_id(persona);
  std::error_code absent;
  if (fs::exists(copy, absent))
    throw Error(Errc::usage, fmt::format("{} is there already", io::shown(copy)), "name a file that is not there");
  {
    io::Database fresh = open_copy(copy, which);
    // A file that nobody reads before it is whole, and that goes when it does not become so.
    fresh.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768");
    distrust(fresh);
    io::attach(fresh, database, "source");
    require_not_newer(fresh, "source", database, which);
    // BEGIN IMMEDIATE would keep writers of the source waiting.
    io::Transaction transaction(fresh, io::Transaction::Kind::read);
    if (which == Shared::conversations)
      internal::extract_conversations(fresh, persona);
    else
      internal::extract_documents(fresh, persona);
    transaction.commit();
  }
  io::sync_file(io::open_file(copy, O_RDWR | O_CLOEXEC).get(), copy);
  io::sync_directory(fs::absolute(copy).parent_path());
}

ReplaceReport replace_rows(const tree::Tree& tree, Shared which, const fs::path& copy, const std::string& persona,
                           const ReplaceOptions& options) {
  tree::require_persona_id(persona);
  {
    io::Database checked(copy, io::OpenMode::write);
    require_not_newer(checked, "main", copy, which);
    if (const std::string damage = checked.integrity(); !damage.empty())
      throw Error(Errc::corrupt, fmt::format("{} is damaged: {}", io::shown(copy), damage),
                  "take an older snapshot: 'reef-backup list' shows them");
  }
  open_copy(copy, which);
  io::Database live = open_live(tree, which);
  live.expect_many_rows();
  distrust(live);
  io::attach(live, copy, "copy");
  return which == Shared::conversations ? internal::replace_conversations(live, persona, options)
                                        : internal::replace_documents(live, persona, options);
}

}  // namespace reef::persona
