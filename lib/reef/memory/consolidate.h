#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "reef/core/progress.h"
#include "reef/core/time.h"
#include "reef/memory/importance.h"
#include "reef/memory/language_model.h"
#include "reef/memory/store.h"
#include "reef/tree/tree.h"

namespace reef::memory {

struct MessageText {
  std::int64_t message = 0;
  std::string_view content;
};
/// Writes the unit rows of texts, one after the other: from where they are kept, else made.
using VectorSource = std::function<void(std::span<const MessageText>, std::span<float>)>;

/// What became of a message, and why.
struct Decided {
  std::int64_t rank = 0;  ///< the order in which messages were scored
  std::int64_t message = 0;
  std::string session;
  std::string external_id;  ///< empty: none
  std::string speaker;      ///< the role where nobody is named
  std::string content;
  std::string created;  ///< as conversations.sqlite has it
  std::string state;    ///< as in table decisions
  Scored scored;        ///< of what was decided a day later only `score`
  std::int64_t mentions = 0;
  std::optional<double> second_score;  ///< a day later
  /// What a language model said of it then: its name (empty: none was asked, or it did not answer), score and reason.
  std::string model;
  double model_score = 0;
  std::string model_reason;
  std::int64_t memory = 0;  ///< 0: none
};

struct ConsolidateOptions {
  Time now{};  ///< messages after it wait
  ImportanceOptions importance;
  std::function<void(const Decided&)> on_decision;  ///< told of each once it is committed
  /// Asked for second scores and for summaries of sessions, if there is one; its failures change nothing but that.
  LanguageModel* model = nullptr;
  unsigned threads = 1;     ///< that compare messages with memories
  std::size_t batch = 256;  ///< messages that are read, settled and asked about, and decisions committed, at once
};

struct ConsolidateReport {
  std::string persona;
  Time now{};
  std::uint64_t scored = 0;
  std::uint64_t unscored = 0;  ///< empty messages, and a system's: discarded
  std::uint64_t discarded = 0, buffered = 0, dropped = 0, remembered = 0, merged = 0, superseded = 0, forgotten = 0;
  std::uint64_t waiting = 0;     ///< in the buffer after this run
  std::uint64_t later = 0;       ///< messages of later times than `now`
  std::uint64_t unreadable = 0;  ///< archived texts that are not there: decided when they are
  std::string first_unreadable;  ///< why
  /// .1, .25, .5, .75 and .9 of the scores of this run; nothing when none was made.
  std::optional<std::array<double, 5>> quantiles;
  FinishReport finish;
  std::optional<LanguageModelUse> model;  ///< of ConsolidateOptions::model

  bool changed() const {
    return scored + unscored + dropped + remembered + merged + forgotten + (model ? model->summaries : 0) > 0;
  }
};

/// Decides what of its conversations a persona remembers: all messages up to `options.now` that were not decided yet,
/// in the order of their times, and those in the buffer whose day is over by then.
///
/// What is decided depends on the messages alone (and on what a language model says of those in the buffer), not on how
/// often or how late this runs: a buffered message is settled before the first one that is 24 hours younger is scored.
/// Decisions, what was learned from them and what is remembered are committed together, some hundred messages at a
/// time: a run that was killed goes on where it was.
///
/// vectors: rows of the model that the store has; empty: without vectors, and every message counts as unlike all
/// memories. Calls store.finish_run(). Throws Error{not_found} when there are no conversations.
ConsolidateReport consolidate(const tree::Tree& tree, Store& store, std::size_t dim, const VectorSource& vectors,
                              const ConsolidateOptions& options, Progress& progress);

/// One message and each term of its score on one line; JSON: reef.memory.decision/1.
std::string to_text(const Decided& decision);
std::string to_json(const Decided& decision);
std::string to_text(const ConsolidateReport& report);
std::string to_json(const ConsolidateReport& report);

}  // namespace reef::memory
