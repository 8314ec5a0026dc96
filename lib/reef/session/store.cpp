#include "reef/session/store.h"

#include <fmt/format.h>

#include <unordered_map>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/io/checksum.h"
#include "reef/session/internal/turns.h"

namespace reef::session {
namespace {

/// Rows of one statement. Before a statement that has triggers changes a page, SQLite copies it: once for all of them.
constexpr std::size_t kRows = 64;
constexpr int kColumns = 8;

std::string insert_rows(std::size_t rows) {
  std::string sql =
      "INSERT INTO messages(session_id, external_id, role, speaker, content, created_at, tokens, metadata) VALUES ";
  for (std::size_t i = 0; i < rows; ++i) sql += i == 0 ? "(?, ?, ?, ?, ?, ?, ?, ?)" : ", (?, ?, ?, ?, ?, ?, ?, ?)";
  return sql;
}

constexpr const char* kFind =
    "SELECT id, role, speaker, content, created_at, tokens, metadata, archive_offset FROM messages"
    " WHERE session_id = ? AND external_id = ?";
constexpr const char* kUpdate =
    "UPDATE messages SET role = ?, speaker = ?, content = ?, created_at = ?, tokens = ?, metadata = ? WHERE id = ?";

void bind_text_or_null(io::Statement& statement, int index, std::string_view text) {
  if (text.empty())
    statement.bind_null(index);
  else
    statement.bind(index, text);
}

void bind_count(io::Statement& statement, int index, const std::optional<std::int64_t>& count) {
  if (count)
    statement.bind(index, *count);
  else
    statement.bind_null(index);
}

}  // namespace

/// The statements of put(), prepared once, and what one transaction knows of sessions.
class Store::Writer {
 public:
  explicit Writer(Store& store)
      : store_(store),
        database_(store.database_),
        insert_(database_.prepare(insert_rows(1))),
        insert_many_(database_.prepare(insert_rows(kRows))),
        find_(database_.prepare(kFind)),
        update_(database_.prepare(kUpdate)),
        find_session_(database_.prepare("SELECT persona_id, created_at, updated_at, title, summary, archive_file"
                                        " FROM sessions WHERE id = ?")),
        add_session_(database_.prepare("INSERT INTO sessions(id, persona_id, created_at, updated_at, title, summary)"
                                       " VALUES (?, ?, ?, ?, ?, ?)")),
        update_session_(database_.prepare("UPDATE sessions SET created_at = ?, updated_at = ?, title = ?, summary = ?"
                                          " WHERE id = ?")) {}

  void put(const std::string& persona, std::span<const NewMessage> messages, PutCounts& counts,
           std::vector<Refusal>& refusals) {
    std::size_t next = 0;
    while (next < messages.size()) {
      check_interrupt();
      if (next > 0) internal::Turn::of_others();
      sessions_.clear();
      new_.clear();  // of a call that failed
      PutCounts now;
      std::vector<Refusal> refused;
      io::Transaction transaction(database_);
      const internal::Turn turn;
      do {
        put_one(persona, messages[next], next, now, refused);
      } while (++next < messages.size() && !turn.is_over());
      insert_new();
      write_sessions();
      transaction.commit();
      counts.sessions += now.sessions;
      counts.added += now.added;
      counts.updated += now.updated;
      counts.unchanged += now.unchanged;
      counts.titled += now.titled;
      refusals.insert(refusals.end(), refused.begin(), refused.end());
    }
  }

 private:
  struct Session {
    bool is_ours = true;
    bool is_changed = false;
    std::string persona, created, updated, title, summary, archive_file;
  };

  Session& session_of(const std::string& persona, const NewMessage& message, PutCounts& counts) {
    const auto [at, is_new] = sessions_.try_emplace(message.session);
    Session& session = at->second;
    if (!is_new) return session;
    find_session_.reset().bind(1, message.session);
    if (find_session_.step()) {
      session.persona = find_session_.text(0);
      session.created = find_session_.text(1);
      session.updated = find_session_.text(2);
      session.title = find_session_.text(3);
      session.summary = find_session_.text(4);
      session.archive_file = find_session_.text(5);
      session.is_ours = session.persona == persona;
    } else {
      session.persona = persona;
      session.created = session.updated = message.created;
      session.title = message.title.value_or("");
      session.summary = message.summary.value_or("");
      add_session_.bind(1, message.session).bind(2, persona).bind(3, message.created).bind(4, message.created);
      bind_text_or_null(add_session_, 5, session.title);
      bind_text_or_null(add_session_, 6, session.summary);
      add_session_.run();
      ++counts.sessions;
    }
    find_session_.reset();
    return session;
  }

  void put_one(const std::string& persona, const NewMessage& message, std::size_t index, PutCounts& counts,
               std::vector<Refusal>& refused) {
    Session& session = session_of(persona, message, counts);
    if (!session.is_ours) {
      refused.push_back({index, message.session,
                         fmt::format("session '{}' is {}'s", printable(message.session), session.persona),
                         "--prefix gives the sessions of this import other names"});
      return;
    }
    for (const NewMessage* other : new_)
      if (other->external_id == message.external_id && other->session == message.session) {
        insert_new();
        break;
      }
    find_.reset().bind(1, message.session).bind(2, message.external_id);
    if (find_.step()) {
      compare(session, message, index, counts, refused);
    } else {
      new_.push_back(&message);
      if (new_.size() == kRows) insert_new();
      ++counts.added;
      note_time(session, message.created);
    }
    note_title(session, message, counts);
  }

  void insert_new() {
    const bool is_full = new_.size() == kRows;
    io::Statement& statement = is_full ? insert_many_ : insert_;
    int at = 0;
    for (const NewMessage* message : new_) {
      statement.bind(at + 1, message->session).bind(at + 2, message->external_id).bind(at + 3, message->role);
      bind_text_or_null(statement, at + 4, message->speaker);
      statement.bind(at + 5, message->content).bind(at + 6, message->created);
      bind_count(statement, at + 7, message->tokens);
      bind_text_or_null(statement, at + 8, message->metadata);
      if (is_full)
        at += kColumns;
      else
        statement.run();
    }
    if (is_full) statement.run();
    new_.clear();
  }

  static void note_time(Session& session, const std::string& created) {
    if (created < session.created) session.created = created, session.is_changed = true;
    if (created > session.updated) session.updated = created, session.is_changed = true;
  }

  static void note_title(Session& session, const NewMessage& message, PutCounts& counts) {
    const bool differs =
        (message.title && *message.title != session.title) || (message.summary && *message.summary != session.summary);
    if (!differs) return;
    session.title = message.title.value_or(session.title);
    session.summary = message.summary.value_or(session.summary);
    session.is_changed = true;
    ++counts.titled;
  }

  /// A message of that id is there: find_ stands on it.
  void compare(Session& session, const NewMessage& message, std::size_t index, PutCounts& counts,
               std::vector<Refusal>& refused) {
    const std::int64_t id = find_.integer(0);
    const bool is_archived = !find_.is_null(7);
    std::string content(find_.text(3));
    if (is_archived && !read_archived(session, find_.integer(7), content, message, index, refused)) return;
    const std::string created(message.has_own_time ? std::string_view(message.created) : find_.text(4));
    const auto tokens = find_.is_null(5) ? std::nullopt : std::optional(find_.integer(5));
    const bool is_same = find_.text(1) == message.role && find_.text(2) == message.speaker &&
                         content == message.content && find_.text(4) == created && tokens == message.tokens &&
                         find_.text(6) == message.metadata;
    find_.reset();
    if (is_same) {
      ++counts.unchanged;
      return;
    }
    if (is_archived) {
      refused.push_back({index, message.session,
                         fmt::format("message '{}' of session '{}' is archived and differs",
                                     printable(message.external_id), printable(message.session)),
                         "delete the session and import it again to replace it"});
      return;
    }
    update_.bind(1, message.role);
    bind_text_or_null(update_, 2, message.speaker);
    update_.bind(3, message.content).bind(4, created);
    bind_count(update_, 5, message.tokens);
    bind_text_or_null(update_, 6, message.metadata);
    update_.bind(7, id).run();
    note_time(session, created);
    ++counts.updated;
  }

  bool read_archived(const Session& session, std::int64_t offset, std::string& content, const NewMessage& message,
                     std::size_t index, std::vector<Refusal>& refused) {
    try {
      content = store_.archives_.text(session.archive_file, offset);
      return true;
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      refused.push_back({index, message.session,
                         fmt::format("session '{}' is archived, and its messages cannot be compared: {}",
                                     printable(message.session), error.what()),
                         error.hint()});
      find_.reset();
      return false;
    }
  }

  void write_sessions() {
    for (const auto& [id, session] : sessions_) {
      if (!session.is_changed) continue;
      update_session_.bind(1, session.created).bind(2, session.updated);
      bind_text_or_null(update_session_, 3, session.title);
      bind_text_or_null(update_session_, 4, session.summary);
      update_session_.bind(5, id).run();
    }
  }

  Store& store_;
  io::Database& database_;
  io::Statement insert_, insert_many_, find_, update_, find_session_, add_session_, update_session_;
  std::unordered_map<std::string, Session> sessions_;
  std::vector<const NewMessage*> new_;  ///< found to be so, and not inserted yet
};

Store::Store(const tree::Tree& tree) : database_(open_conversations(tree)) {
  // Every statement that has triggers keeps the pages which it changes, to take them back if it fails: in a file, and
  // with fourteen writes for each message, unless memory is said. The cache holds all pages of one transaction.
  database_.execute("PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 4000");
  writer_ = std::make_unique<Writer>(*this);
}
Store::~Store() = default;

std::vector<Refusal> Store::put(const std::string& persona, std::span<const NewMessage> messages, PutCounts& counts) {
  std::vector<Refusal> refusals;
  writer_->put(persona, messages, counts, refusals);
  return refusals;
}

std::string message_digest(std::string_view session, std::string_view role, std::string_view time,
                           std::string_view content, std::uint64_t ordinal) {
  io::Sha256 digest;
  // Lengths before the texts: no two messages are one row of bytes.
  for (const std::string_view part : {session, role, time, content}) {
    digest.update(fmt::format("{}:", part.size()));
    digest.update(part);
  }
  digest.update(fmt::format("{}", ordinal));
  return io::to_hex(digest.finish());
}

}  // namespace reef::session
