#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What is said to an OpenAI-compatible `/v1/chat/completions` service, and what it may answer.
namespace reef::memory::internal {

/// A message as the service is told of it.
struct Told {
  std::string speaker, content;
  std::string time;                            ///< empty: not told
  std::string speaker_before, content_before;  ///< the turn before it; empty: none, or not told
};

struct Verdict {
  double score = 0;    ///< 0…1
  std::string reason;  ///< one line, short; may be empty
};
/// A sentence, and the places in the request of what it rests on, ascending.
struct Stated {
  std::string text;
  std::vector<std::size_t> sources;
};

/// Asks for a score of each message; `with_schema`: with the form of the answer as a schema, too. What is no UTF-8 is
/// sent as U+FFFD; long texts are cut.
std::string scoring_request(const std::string& model, std::span<const Told> messages, bool with_schema = true);
/// Asks for a summary in at most six sentences with the messages that each rests on.
std::string summary_request(const std::string& model, std::span<const Told> messages, bool with_schema = true);

struct Verdicts {
  std::vector<std::optional<Verdict>> of;  ///< in the order of the request; nullopt: nothing that counts
  std::string fault;                       ///< what was wrong with the answer; empty: nothing
  std::size_t usable() const;
};
/// Scores that are no numbers of 0…1, ids that were not asked for and those that came twice do not count.
Verdicts read_verdicts(std::string_view answer, std::size_t count);

struct Statements {
  bool is_of_use = false;  ///< the answer has the form that was asked for
  std::vector<Stated> sentences;
  std::string fault;
};
/// Sources that were not told of do not count, and a sentence without any is left out.
Statements read_statements(std::string_view answer, std::size_t count);

/// The first JSON object in a text, which may stand among prose or in a fence; nullopt when none ends.
std::optional<std::string_view> first_object(std::string_view text);

}  // namespace reef::memory::internal
