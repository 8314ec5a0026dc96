#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reef/memory/store.h"

namespace reef::memory {

struct ForgetReport;

/// What to forget: memories by id, all that came from a session, all that hold a text (folded) in theirs, in a tag or
/// in the name of who said it.
struct ForgetOptions {
  std::vector<std::int64_t> ids;
  std::optional<std::string> session;
  std::optional<std::string> matching;
  bool with_source = false;  ///< the messages, too
  StoreOptions store;
  const ForgetReport* agreed = nullptr;  ///< what plan_forget() said: Error{failed} when it is another plan by now
};

struct ForgottenMemory {
  std::int64_t id = 0;
  std::string content, created;
};
/// What a session loses, or has marked as not to be learned again.
struct TouchedSession {
  std::string id;
  std::uint64_t messages = 0;  ///< of those it has
  std::uint64_t of = 0;        ///< how many that are
  std::string archive_file;    ///< of those archived the text is there; empty: none is
};

struct ForgetReport {
  std::string persona;
  bool dry_run = false;
  bool is_plan = false;  ///< nothing was done yet
  bool with_source = false;
  std::vector<ForgottenMemory> memories;
  std::vector<TouchedSession> sessions;
  std::vector<std::string> titled;      ///< sessions whose title or summary holds the text, and loses it
  std::vector<std::string> summarised;  ///< sessions whose summary by a language model rests on it, and goes
  std::vector<std::int64_t> messages;   ///< that will not be learned from again
  std::vector<std::int64_t> not_found;  ///< ids
  bool words_purged = true;             ///< else something of it is in a file still: purged by the next run
  std::string not_purged;               ///< why, and what to do

  bool is_empty() const { return memories.empty() && messages.empty() && titled.empty() && summarised.empty(); }
};

/// What forget() would do; changes nothing. Messages of sessions that belong to another persona are left alone,
/// whatever is named. Throws Error{usage} when nothing is named, Error{not_found} when the persona has no memories and
/// no message that fits, when nothing knows the session, or when archived messages have to be read and their archive is
/// not there.
ForgetReport plan_forget(const tree::Tree& tree, const std::string& persona, const ForgetOptions& options);

/// Does what plan_forget() says. One transaction removes the memories with their vectors, links, sources and names that
/// nobody else mentions, and marks them and their messages as not to be learned again. Then the messages go with their
/// vectors, and every byte of it all in databases, logs and derived files; a run that was killed before that end is
/// finished by the next one that writes memories of the persona. What a language model wrote of a session that has one
/// of the messages goes as well, with every reason that it gave. Sessions left without a message go with their titles.
ForgetReport forget(const tree::Tree& tree, const std::string& persona, const ForgetOptions& options);

std::string to_text(const ForgetReport& report);
std::string to_json(const ForgetReport& report);

}  // namespace reef::memory
