#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/progress.h"
#include "reef/io/sqlite.h"
#include "reef/session/archives.h"
#include "reef/session/schema.h"
#include "reef/tree/tree.h"

namespace reef::session {

/// A session and what its messages say of it. Times are in the database's form, as stored.
struct SessionRow {
  std::string id;
  std::string persona;
  std::string title, summary;  ///< empty: none
  std::string summary_model;   ///< which language model wrote the summary; empty: it came with the conversation
  std::string created, updated;
  std::string archive_file;         ///< absolute; empty: not archived
  std::uint64_t messages = 0;       ///< all of them
  std::uint64_t archived = 0;       ///< of them, with their text in archive_file
  std::string first, last;          ///< times of the first and the last message; empty without any
  std::uint64_t content_bytes = 0;  ///< of the texts that are in the database
};

struct Message {
  std::int64_t id = 0;
  std::string session;
  std::string external_id;  ///< empty: none
  std::string role;
  std::string speaker;  ///< empty: none
  std::string content;
  std::string created;  ///< in the database's form, as stored
  std::optional<std::int64_t> tokens;
  std::string metadata;  ///< JSON; empty: none
  std::optional<std::int64_t> archive_offset;
};

/// Sessions by id, those of one persona or all.
std::vector<SessionRow> list_sessions(io::Database& conversations, const std::optional<std::string>& persona = {});
std::optional<SessionRow> find_session(io::Database& conversations, std::string_view id);
/// Throws Error{not_found} naming the nearest session.
SessionRow require_session(io::Database& conversations, const std::string& id);

/// The messages of a session in their order: time, then id. Texts that were archived are read from there: Error as
/// Archives::text() throws it; where one is damaged, `on_damaged` is told instead and the message left out.
void read_messages(io::Database& conversations, Archives& archives, const std::string& session,
                   const std::function<void(Message&)>& on_message,
                   const std::function<void(const Error&)>& on_damaged = nullptr);
/// One message with its text; nullopt when there is none of that id.
std::optional<Message> read_message(io::Database& conversations, Archives& archives, std::int64_t id);
/// The same without the text of an archived one.
std::optional<Message> read_stored_message(io::Database& conversations, std::int64_t id);

/// read_message() for many, by one statement.
class MessageReader {
 public:
  explicit MessageReader(io::Database& conversations);
  std::optional<Message> read(Archives& archives, std::int64_t id);

 private:
  io::Statement row_;
};

/// A time of the database as RFC 3339; one of no form that is known stays as it is.
std::string rfc3339_of(std::string_view database_time);

/// What is to be stored. `external_id` must not be empty (message_digest() makes one).
struct NewMessage {
  std::string session;
  std::string external_id;
  std::string role;
  std::string speaker;
  std::string content;
  std::string created;       ///< in the database's form
  bool has_own_time = true;  ///< else `created` was made up: a message that is there keeps its time
  std::optional<std::int64_t> tokens;
  std::string metadata;                       ///< JSON on one line; empty: none
  std::optional<std::string> title, summary;  ///< of its session
  bool is_addition = false;                   ///< one of that id that is there stays as it is
};

/// SHA-256 as hexadecimal digits over what tells a message without an id from the others of its session. `time` is
/// empty when it had none; `ordinal` counts equal ones of the session from 0.
std::string message_digest(std::string_view session, std::string_view role, std::string_view time,
                           std::string_view content, std::uint64_t ordinal);

struct PutCounts {
  std::uint64_t sessions = 0;  ///< new ones
  std::uint64_t added = 0, updated = 0, unchanged = 0;
  std::uint64_t titled = 0;  ///< sessions that got another title or summary
};
/// A message that was not stored, and why.
struct Refusal {
  enum class Kind { others_session, archived, repeated };
  std::size_t index = 0;  ///< among those given
  Kind kind = Kind::others_session;
  std::string session;
  std::string reason, hint;
};

/// What purge_words() came to; kept_by_reader: others kept the log, or added much, for so long.
enum class Purged { wholly, not_written_anew, kept_by_reader };

/// Writes conversations. Every transaction is ended after some 10 ms of work, so that other writers hardly wait.
/// One object in a thread; what other processes do between two calls is seen by the next one.
class Store {
 public:
  /// Makes conversations.sqlite when it is absent.
  explicit Store(const tree::Tree& tree);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  io::Database& database() { return database_; }
  Archives& archives() { return archives_; }

  /// Adds messages that are new by (session, external id), changes those that differ, makes sessions at need. What a
  /// message does not have (tokens, speaker, metadata) stays as it is stored. Refused are messages of a session that
  /// another persona owns, changes of archived ones, and an id that came before in the same source and differs.
  std::vector<Refusal> put(const std::string& persona, std::span<const NewMessage> messages, PutCounts& counts);
  /// What was put since the last call was one source: of several titles of a session its last one counts.
  void end_source(PutCounts& counts);

  /// Removes messages with their words: in transactions of their own, so that one that fails leaves the others
  /// removed. Their sessions stay. Archived ones need their archive: Error as Archives::text() throws it.
  /// Returns how many there were.
  std::uint64_t remove_messages(std::span<const std::int64_t> ids);
  /// Removes all messages of a session, then the session itself; `before_last` runs between the two. Where its archive
  /// is damaged, the full text is made anew without it.
  std::uint64_t remove_session(const std::string& session, const std::function<void()>& before_last);
  /// Removes a session if it has no message, in one transaction, `before_last` in it. False when it has one.
  bool remove_empty_session(const std::string& session, const std::function<void()>& before_last);

  /// Makes the full text anew from the messages, in one transaction: other writers wait. Returns how many archived
  /// messages could not be read, of which no words are in it. Error{not_found} for an archive that is not there.
  std::uint64_t rebuild_words(Progress& progress);
  /// Words of removed messages leave the full text's own pages: merged into one segment, piece by piece. False when
  /// others added so much meanwhile that it did not come to an end.
  bool merge_words();
  /// merge_words(), then VACUUM and the write-ahead log emptied. What was removed is zeros by then (secure_delete), but
  /// copies that SQLite made when it moved rows from page to page may stand between the rows of others. VACUUM is one
  /// transaction, which takes as long as copying the file: one beyond 2 MiB is written anew with `large` only.
  Purged purge_words(std::chrono::milliseconds patience, bool large);
  /// Brings the write-ahead log into the database and empties it; false when a reader kept it for so long.
  bool empty_log(std::chrono::milliseconds patience = std::chrono::seconds(5));

 private:
  class Writer;
  std::int64_t total_changes();
  std::uint64_t write_words(Progress& progress);
  std::uint64_t remove_unreadable(const std::string& session);

  io::Database database_;
  Archives archives_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace reef::session
