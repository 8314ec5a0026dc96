#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/time.h"
#include "reef/session/store.h"

namespace reef::session {

/// A sentence and the messages that it rests on.
struct SummarySentence {
  std::string text;
  std::vector<std::int64_t> messages;     ///< ascending, of that session
  std::vector<std::string> external_ids;  ///< theirs, where they have one; read_summary() fills it
};
/// What a language model wrote of a session. Without sentences: it found nothing to say.
struct Summary {
  std::string model;
  std::string created;  ///< in the database's form
  std::vector<SummarySentence> sentences;
};

/// nullopt when no language model wrote one.
std::optional<Summary> read_summary(io::Database& conversations, std::string_view session);

/// What a summary is made of: when it is no longer so, there is to be another one.
struct Unsummarised {
  std::string session;
  std::uint64_t messages = 0;
  std::string last;  ///< time of the last message, in the database's form
};
/// Sessions of a persona without a message after `quiet_since` that have no summary, or a language model's that was
/// made of other messages; the latest first. Those that came with a summary have theirs.
std::vector<Unsummarised> list_unsummarised(io::Database& conversations, const std::string& persona, Time quiet_since);

/// Writes sessions.summary, the sentences one after the other, and what they rest on. False, and nothing written, when
/// the session is not as `of` says any more, got a summary meanwhile, or does not have all those messages.
bool put_summary(io::Database& conversations, const Unsummarised& of, const Summary& summary);
/// Removes what a language model wrote of them; other summaries stay.
void remove_summaries(io::Database& conversations, std::span<const std::string> sessions);

/// What of table session_summaries and its sources is not as put_summary() leaves it; empty: nothing.
std::vector<std::string> summary_faults(io::Database& conversations);

}  // namespace reef::session
