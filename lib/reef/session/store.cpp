#include "reef/session/store.h"

#include <fmt/format.h>

#include <unordered_map>
#include <utility>

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
/// Of texts that wait to be inserted: some milliseconds of work.
constexpr std::size_t kWaitingBytes = 64 << 10;

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
    if (!first_new_) first_new_ = last_row() + 1;
    while (next < messages.size()) {
      check_interrupt();
      if (next > 0) internal::Turn::of_others();
      sessions_.clear();
      new_.clear();  // of a call that failed, as the marks
      new_bytes_ = 0;
      for (const std::int64_t row : std::exchange(marked_, {})) seen_[row / 64] &= ~(std::uint64_t{1} << (row % 64));
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
      marked_.clear();
      counts.sessions += now.sessions;
      counts.added += now.added;
      counts.updated += now.updated;
      counts.unchanged += now.unchanged;
      refusals.insert(refusals.end(), refused.begin(), refused.end());
    }
  }

  void end_source(PutCounts& counts) {
    while (!titles_.empty()) {
      sessions_.clear();
      std::uint64_t titled = 0;
      io::Transaction transaction(database_);
      const internal::Turn turn;
      do {
        const auto at = titles_.begin();
        if (Session session; find_session(at->first, session)) {
          session.title = at->second.title.value_or(session.title);
          session.summary = at->second.summary.value_or(session.summary);
          session.is_changed = true;
          sessions_.emplace(at->first, std::move(session));
          ++titled;
        }
        titles_.erase(at);
      } while (!titles_.empty() && !turn.is_over());
      write_sessions();
      transaction.commit();
      counts.titled += titled;
      if (!titles_.empty()) internal::Turn::of_others();
    }
    first_new_.reset();
    seen_.clear();
  }

 private:
  struct Session {
    bool is_ours = true;
    bool is_changed = false;
    std::string persona, created, updated, title, summary, archive_file;
  };
  struct Titles {
    std::optional<std::string> title, summary;
  };

  Session& session_of(const std::string& persona, const NewMessage& message, PutCounts& counts) {
    const auto [at, is_new] = sessions_.try_emplace(message.session);
    Session& session = at->second;
    if (!is_new) return session;
    if (find_session(message.session, session)) {
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
    return session;
  }

  bool find_session(const std::string& id, Session& session) {
    find_session_.reset().bind(1, id);
    const bool is_there = find_session_.step();
    if (is_there) {
      session.persona = find_session_.text(0);
      session.created = find_session_.text(1);
      session.updated = find_session_.text(2);
      session.title = find_session_.text(3);
      session.summary = find_session_.text(4);
      session.archive_file = find_session_.text(5);
    }
    find_session_.reset();
    return is_there;
  }

  std::int64_t last_row() {
    auto find = database_.prepare("SELECT coalesce(max(id), 0) FROM messages");
    return find.step() ? find.integer(0) : 0;
  }

  /// Whether the source has had that row before: put there, or compared with. A bit for each row.
  bool was_seen(std::int64_t row) {
    if (row >= *first_new_) return true;
    std::uint64_t& rows = seen_[row / 64];
    const std::uint64_t bit = std::uint64_t{1} << (row % 64);
    if ((rows & bit) != 0) return true;
    rows |= bit;
    marked_.push_back(row);
    return false;
  }

  void put_one(const std::string& persona, const NewMessage& message, std::size_t index, PutCounts& counts,
               std::vector<Refusal>& refused) {
    Session& session = session_of(persona, message, counts);
    if (!session.is_ours) {
      refused.push_back({index, Refusal::Kind::others_session, message.session,
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
      new_bytes_ += message.content.size();
      if (new_.size() == kRows || new_bytes_ >= kWaitingBytes) insert_new();
      ++counts.added;
      note_time(session, message.created);
    }
    note_title(session, message);
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
    new_bytes_ = 0;
  }

  static void note_time(Session& session, const std::string& created) {
    if (created < session.created) session.created = created, session.is_changed = true;
    if (created > session.updated) session.updated = created, session.is_changed = true;
  }

  void note_title(const Session& session, const NewMessage& message) {
    if (!message.title && !message.summary) return;
    auto at = titles_.find(message.session);
    const bool differs =
        (message.title && *message.title != session.title) || (message.summary && *message.summary != session.summary);
    if (at == titles_.end() && !differs) return;
    Titles& titles = titles_[message.session];
    if (message.title) titles.title = message.title;
    if (message.summary) titles.summary = message.summary;
    if (titles.title.value_or(session.title) == session.title &&
        titles.summary.value_or(session.summary) == session.summary)
      titles_.erase(message.session);
  }

  /// A message of that id is there: find_ stands on it.
  void compare(Session& session, const NewMessage& message, std::size_t index, PutCounts& counts,
               std::vector<Refusal>& refused) {
    if (message.is_addition) {
      find_.reset();
      ++counts.unchanged;
      return;
    }
    const std::int64_t id = find_.integer(0);
    const bool is_archived = !find_.is_null(7);
    std::string content(find_.text(3));
    if (is_archived && !read_archived(session, find_.integer(7), content, message, index, refused)) return;
    const std::string created(message.has_own_time ? std::string_view(message.created) : find_.text(4));
    // What the message does not have stays: other programs fill it in.
    const auto stored_tokens = find_.is_null(5) ? std::nullopt : std::optional(find_.integer(5));
    const auto tokens = message.tokens ? message.tokens : stored_tokens;
    const std::string_view speaker = message.speaker.empty() ? find_.text(2) : message.speaker;
    const std::string_view metadata = message.metadata.empty() ? find_.text(6) : message.metadata;
    const bool is_same = find_.text(1) == message.role && find_.text(2) == speaker && content == message.content &&
                         find_.text(4) == created && stored_tokens == tokens && find_.text(6) == metadata;
    const bool is_repeated = was_seen(id);
    if (is_same) {
      find_.reset();
      ++counts.unchanged;
      return;
    }
    if (is_repeated) {
      find_.reset();
      refused.push_back({index, Refusal::Kind::repeated, message.session,
                         fmt::format("message '{}' of session '{}' came before and differs: the first one stays",
                                     printable(message.external_id), printable(message.session)),
                         "give each message an id of its own"});
      return;
    }
    if (is_archived) {
      find_.reset();
      refused.push_back({index, Refusal::Kind::archived, message.session,
                         fmt::format("message '{}' of session '{}' is archived and differs",
                                     printable(message.external_id), printable(message.session)),
                         "delete the session and import it again to replace it"});
      return;
    }
    update_.bind(1, message.role);
    bind_text_or_null(update_, 2, speaker);
    update_.bind(3, message.content).bind(4, created);
    bind_count(update_, 5, tokens);
    bind_text_or_null(update_, 6, metadata);
    update_.bind(7, id);
    find_.reset();  // speaker and metadata may be of its row
    update_.run();
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
      refused.push_back({index, Refusal::Kind::archived, message.session,
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
  std::size_t new_bytes_ = 0;
  std::unordered_map<std::string, Titles> titles_;        ///< that the source's last word on a session changes
  std::optional<std::int64_t> first_new_;                 ///< row of those that the source adds
  std::unordered_map<std::int64_t, std::uint64_t> seen_;  ///< rows before it, by sixty-four
  std::vector<std::int64_t> marked_;                      ///< of them, by a transaction that is not committed
};

Store::Store(const tree::Tree& tree) : database_(open_conversations(tree)) {
  database_.expect_many_rows();
  writer_ = std::make_unique<Writer>(*this);
}
Store::~Store() = default;

std::vector<Refusal> Store::put(const std::string& persona, std::span<const NewMessage> messages, PutCounts& counts) {
  std::vector<Refusal> refusals;
  writer_->put(persona, messages, counts, refusals);
  return refusals;
}

void Store::end_source(PutCounts& counts) { writer_->end_source(counts); }

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
