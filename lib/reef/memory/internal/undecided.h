#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/time.h"
#include "reef/io/sqlite.h"
#include "reef/session/store.h"

namespace reef::memory::internal {

/// A message and its time; the epoch for a time of no form that is known.
struct Waiting {
  session::Message message;
  Time created{};
  /// What stands before it in its session, a system's and empty ones aside.
  std::optional<session::Message> before{};
};

/// The messages of a persona that have no decision yet, up to a time, in the order of their times.
///
/// Whatever has an id up to the watermark is decided (progress: decided_up_to); of those beyond, table decisions tells.
class Undecided {
 public:
  Undecided(io::Database& conversations, io::Database& memories, const std::string& persona, Time now);

  std::size_t left() const { return ids_.size() - next_; }
  /// Messages of later times.
  std::size_t later() const { return later_; }
  /// The next ones, `count` at most; fewer at the end. What was removed meanwhile is left out, as what find() cannot
  /// read, and what stands behind something that it cannot read.
  std::vector<Waiting> next(std::size_t count);
  /// What stands before a message in its session, a system's and empty ones aside. Throws Error{not_found} where that
  /// was archived and is not there, Error{corrupt} where it is damaged.
  std::optional<session::Message> before(const session::Message& message);
  /// nullopt when it was removed; also, counted as unreadable, when its text was archived and is not there.
  std::optional<session::Message> find(std::int64_t id);
  /// As far as it is there: without the text of an archive that is not.
  std::optional<session::Message> glance(std::int64_t id);

  std::size_t unreadable() const { return unreadable_.size(); }
  bool is_unreadable(std::int64_t id) const { return unreadable_.contains(id); }
  const std::string& first_unreadable() const { return first_unreadable_; }
  /// Once all that next() gave has a decision.
  void save_watermark();

 private:
  void add_unreadable(std::int64_t id, const Error& error);

  io::Database* conversations_;
  io::Database* memories_;
  session::Archives archives_;
  session::MessageReader reader_;
  io::Statement before_;  ///< ids, the nearest first
  std::vector<std::int64_t> ids_;
  std::size_t next_ = 0;
  std::int64_t watermark_ = 0;  ///< when all in ids_ are decided
  std::int64_t old_watermark_ = 0;
  std::size_t later_ = 0;
  std::set<std::int64_t> unreadable_;
  std::string first_unreadable_;
};

/// Speaker, or role where nobody is named.
std::string_view speaker_of(const session::Message& message);
/// Whether it is worth scoring: no system's, and with a character that can be seen.
bool says_something(const session::Message& message);
Time time_of(std::string_view database_time);
/// Whether an error in reading a message passes when its archive is there, or whole, again.
bool is_out_of_reach(const Error& error);

}  // namespace reef::memory::internal
