#include "reef/memory/summarise.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/log.h"
#include "reef/core/table.h"
#include "reef/memory/internal/model_protocol.h"
#include "reef/memory/internal/undecided.h"
#include "reef/session/summary.h"

namespace reef::memory {
namespace {

using internal::Told;

constexpr std::size_t kMostSessions = 100;
constexpr std::size_t kPieceBytes = 24'000;
constexpr std::size_t kMostPieces = 8;
constexpr std::size_t kMostOfMessage = 2000;  ///< internal::summary_request() cuts there
constexpr std::size_t kAroundMessage = 100;

/// What one request tells.
struct Piece {
  std::vector<Told> told;
  std::vector<std::int64_t> ids;
  std::size_t bytes = 0;
};

class Summariser {
 public:
  Summariser(const tree::Tree& tree, Store& store, LanguageModel& model, Time now)
      : tree_(tree), store_(store), model_(model), now_(now), conversations_(session::read_conversations(tree)) {}

  std::vector<session::Unsummarised> list() {
    return session::list_unsummarised(conversations_, store_.persona(), now_ - std::chrono::hours(24));
  }

  /// False: another run has to.
  bool summarise(const session::Unsummarised& of) {
    session::Summary summary;
    summary.model = model_.name();
    summary.created = to_database_time(reef::now());
    for (const Piece& piece : pieces_of(of.session)) {
      check_interrupt();
      const auto answer = model_.ask(store_.folder(), [&](bool with_schema) {
        return internal::summary_request(model_.name(), piece.told, with_schema);
      });
      if (!answer) return false;
      const auto read = internal::read_statements(*answer, piece.told.size());
      // A sentence less is no fault of the run.
      model_.judge(read.is_of_use, read.sentences.empty() ? read.fault : "");
      if (!read.fault.empty()) log_step("session '{}': {}", printable(of.session), read.fault);
      if (!read.is_of_use) return false;
      for (const internal::Stated& stated : read.sentences) {
        session::SummarySentence sentence{stated.text, {}, {}};
        for (const std::size_t place : stated.sources) sentence.messages.push_back(piece.ids[place]);
        std::sort(sentence.messages.begin(), sentence.messages.end());
        summary.sentences.push_back(std::move(sentence));
      }
    }
    if (!writable_) writable_ = session::open_conversations(tree_);
    return session::put_summary(writable_, of, summary);
  }

 private:
  std::deque<Piece> pieces_of(const std::string& session) {
    std::deque<Piece> pieces;
    session::read_messages(conversations_, archives_, session, [&](const session::Message& message) {
      if (!internal::says_something(message) ||
          store_.is_forgotten(message.id, internal::speaker_of(message), message.content))
        return;
      const std::size_t bytes = std::min(message.content.size(), kMostOfMessage) + kAroundMessage;
      if (pieces.empty() || pieces.back().bytes + bytes > kPieceBytes) pieces.emplace_back();
      if (pieces.size() > kMostPieces) pieces.pop_front();
      Piece& piece = pieces.back();
      piece.bytes += bytes;
      piece.ids.push_back(message.id);
      Told told;
      told.speaker = internal::speaker_of(message);
      told.content = message.content;
      told.time = session::rfc3339_of(message.created);
      piece.told.push_back(std::move(told));
    });
    return pieces;
  }

  const tree::Tree& tree_;
  Store& store_;
  LanguageModel& model_;
  const Time now_;
  io::Database conversations_, writable_;
  session::Archives archives_;
};

}  // namespace

void summarise_sessions(const tree::Tree& tree, Store& store, LanguageModel& model, Time now, LanguageModelUse& use,
                        Progress& progress) {
  Summariser summariser(tree, store, model, now);
  const auto wanted = summariser.list();
  const std::size_t count = std::min(wanted.size(), kMostSessions);
  progress.begin("summarising", count, ProgressUnit::items);
  std::size_t done = 0;
  for (std::size_t i = 0; i < count && model.is_usable(); ++i) {
    check_interrupt();
    try {
      done += summariser.summarise(wanted[i]) ? 1 : 0;
    } catch (const Error& error) {
      if (!internal::is_out_of_reach(error)) throw;
      log_step("session '{}' is not summarised: {}", printable(wanted[i].session), error.what());
    }
    progress.advance(1);
  }
  progress.end();
  use.summaries += done;
  use.not_summarised += wanted.size() - done;
}

}  // namespace reef::memory
