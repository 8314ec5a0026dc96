#include "reef/memory/consolidate.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/memory/internal/buffer.h"
#include "reef/memory/internal/decisions.h"
#include "reef/memory/internal/message_vectors.h"
#include "reef/memory/internal/rescore.h"
#include "reef/memory/internal/undecided.h"
#include "reef/memory/summarise.h"

namespace reef::memory {
namespace {

using internal::Buffered;
using internal::Ready;
using internal::Settling;
using internal::Waiting;

constexpr std::size_t kKeptRows = 16'384;                 ///< of messages in the buffer
constexpr auto kLongest = std::chrono::milliseconds(25);  ///< of a transaction: whoever waits for it does not wait long

class Run {
 public:
  Run(const tree::Tree& tree, Store& store, std::size_t dim, const VectorSource& vectors,
      const ConsolidateOptions& options)
      : tree_(tree),
        store_(store),
        options_(options),
        conversations_(session::read_conversations(tree)),
        undecided_(conversations_, store.database(), store.persona(), options.now),
        vectors_(store, undecided_, vectors ? dim : 0, vectors, options.threads),
        decisions_(store.database(), options.now),
        importance_(options.importance, store.database()) {
    report_.persona = store.persona();
    report_.now = options.now;
    if (options.model != nullptr) {
      report_.model.emplace().model = options.model->name();
      rescore_.emplace(store, undecided_, *options.model, *report_.model);
    }
    load_buffer();
  }

  ConsolidateReport run(Progress& progress) {
    progress.begin("deciding", undecided_.left(), ProgressUnit::items);
    while (true) {
      check_interrupt();
      if (ready_.empty()) fetch();
      const Time until = ready_.empty() ? options_.now : ready_.front().waiting.created;
      if (buffer_.is_due(until)) {
        settle(until);
      } else if (!ready_.empty()) {
        progress.advance(score_ready());
      } else {
        break;
      }
      if (is_long()) commit();
    }
    progress.end();
    begin();
    undecided_.save_watermark();
    commit();
    report_.waiting += buffer_.size();
    report_.later = undecided_.later();
    report_.unreadable = undecided_.unreadable();
    report_.first_unreadable = undecided_.first_unreadable();
    take_quantiles();
    report_.finish = store_.finish_run();
    if (options_.model != nullptr) ask_for_summaries(progress);
    return std::move(report_);
  }

 private:
  void ask_for_summaries(Progress& progress) {
    const std::uint64_t before = asked_before_;
    summarise_sessions(tree_, store_, *options_.model, options_.now, *report_.model, progress);
    report_.model->requests = options_.model->requests() - before;
  }

  void load_buffer() {
    auto rows = store_.database().prepare(
        "SELECT rank, message, created_at, score, mentions FROM decisions WHERE state = 'buffered'"
        " ORDER BY created_at, rank");
    while (rows.step()) {
      Buffered entry{rows.integer(0), rows.integer(1), rows.real(3), rows.integer(4), {}, {}};
      // Nothing will mention it where nothing new is said.
      const auto message = undecided_.left() > 0 ? undecided_.find(entry.message) : std::nullopt;
      const auto words = message ? Importance::word_hashes(message->content) : std::vector<std::uint64_t>();
      buffer_.add(internal::time_of(rows.text(2)), std::move(entry), words);
    }
  }

  void begin() {
    if (transaction_) return;
    transaction_.emplace(store_.database());
    begun_ = std::chrono::steady_clock::now();
  }

  bool is_long() const {
    return decided_.size() >= options_.batch || std::chrono::steady_clock::now() - begun_ > kLongest;
  }

  void commit() {
    if (!transaction_) return;
    importance_.save();
    transaction_->commit();
    transaction_.reset();
    tell();
  }

  void fetch() {
    commit();
    for (Ready& ready : vectors_.next(options_.batch)) ready_.push_back(std::move(ready));
  }

  /// Scores what is ready, up to the first message before which the buffer is to be settled. Returns how many.
  std::size_t score_ready() {
    begin();
    std::size_t scored = 0;
    do {
      decided_.push_back(decide(ready_.front()));
      ready_.pop_front();
      ++scored;
    } while (!ready_.empty() && !is_long() && !buffer_.is_due(ready_.front().waiting.created));
    return scored;
  }

  static Decided decision_on(const session::Message& message) {
    Decided decision;
    decision.message = message.id;
    decision.session = message.session;
    decision.external_id = message.external_id;
    decision.speaker = internal::speaker_of(message);
    decision.content = message.content;
    decision.created = message.created;
    return decision;
  }

  Decided decide(Ready& ready) {
    const Waiting& waiting = ready.waiting;
    const std::span<const float> row = ready.row;
    const session::Message& message = waiting.message;
    Decided decision = decision_on(message);
    decision.state = "discarded";
    if (!internal::says_something(message)) {
      ++report_.unscored;
      decisions_.insert(decision);
      return decision;
    }
    if (store_.is_forgotten(message.id, decision.speaker, message.content)) {
      // Nothing is learned from it either.
      decision.state = "forgotten";
      ++report_.forgotten;
      decisions_.insert(decision);
      return decision;
    }
    const auto& before = waiting.before;
    const auto previous = before ? std::optional(Turn{internal::speaker_of(*before), before->content}) : std::nullopt;
    const auto nearest =
        row.empty() ? std::nullopt : store_.nearest(row, message.content, ready.scan ? &*ready.scan : nullptr);
    decision.scored = importance_.score({decision.speaker, message.content},
                                        nearest ? static_cast<double>(nearest->cosine) : 0, previous);
    ++report_.scored;
    scores_.push_back(decision.scored.score);
    for (const Buffered* mentioned : buffer_.mention(waiting.created, decision.scored.rare))
      decisions_.count_mention(mentioned->rank, mentioned->mentions);

    const double score = decision.scored.score;
    const ImportanceOptions& limits = options_.importance;
    if (score > limits.remember) {
      remember(decision, waiting.created, score, decision.scored.names, row, ready.scan);
      decisions_.insert(decision);
    } else if (score >= limits.discard) {
      decision.state = "buffered";
      ++report_.buffered;
      decisions_.insert(decision);
      const bool keep = buffer_.size() < kKeptRows;
      Buffered entry{decision.rank, message.id, score, 0, {}, {}};
      if (keep) {
        entry.row = std::move(ready.row);
        entry.scan = std::move(ready.scan);
      }
      buffer_.add(waiting.created, std::move(entry), decision.scored.words);
    } else {
      ++report_.discarded;
      decisions_.insert(decision);
    }
    return decision;
  }

  void remember(Decided& decision, Time created, double importance, const std::vector<text::Name>& names,
                std::span<const float> row, const std::optional<internal::Scan>& near) {
    NewMemory memory;
    memory.content = decision.content;
    memory.speaker = decision.speaker;
    memory.embedding = row;
    memory.scanned = near ? &*near : nullptr;
    memory.importance = importance;
    memory.created_at = created;
    memory.source = Source{decision.message, decision.session, decision.external_id};
    for (const text::Name& name : names) memory.entities.push_back({name.written, "name"});
    memory.valence = decision.scored.sentiment;
    const Remembered done = store_.remember(memory);
    decision.memory = done.id;
    switch (done.outcome) {
      case Outcome::updated:
        ++report_.superseded;
        [[fallthrough]];
      case Outcome::added:
        decision.state = "remembered";
        ++report_.remembered;
        break;
      case Outcome::merged:
        decision.state = "merged";
        ++report_.merged;
        break;
      case Outcome::forgotten:
        decision.state = "forgotten";
        ++report_.forgotten;
        break;
    }
  }

  /// Decides on what has been in the buffer for a day at `until`; some hundred at most.
  void settle(Time until) {
    if (rescore_) {
      commit();  // an answer takes long
      rescore_->ask_about_due(buffer_, until, options_.batch, options_.now);
    }
    std::vector<Settling> messages;
    while (buffer_.is_due(until) && messages.size() < options_.batch) {
      auto [created, entry] = buffer_.take_first();
      Waiting waiting{{}, created};
      if (entry.second() >= options_.importance.second) {
        if (auto message = undecided_.find(entry.message)) waiting.message = *std::move(message);
        if (undecided_.is_unreadable(entry.message)) {  // it waits on, until a later run can read it
          ++report_.waiting;
          continue;
        }
      }
      messages.push_back({std::move(entry), std::move(waiting)});
    }
    if (std::ranges::any_of(messages, [&](const Settling& message) { return vectors_.lacks(message); })) {
      commit();
      vectors_.prepare(messages);
    }
    begin();
    for (const Settling& message : messages) decided_.push_back(settle_one(message.entry, message.waiting));
    if (rescore_) commit();  // nobody asks, and pays, again
  }

  Decided settle_one(const Buffered& entry, const Waiting& waiting) {
    Decided decision = decision_on(waiting.message);
    decision.message = entry.message;
    decision.rank = entry.rank;
    decision.mentions = entry.mentions;
    decision.scored.score = entry.score;
    decision.second_score = entry.second();
    if (entry.verdict) {
      decision.model = options_.model->name();
      decision.model_score = entry.verdict->score;
      decision.model_reason = entry.verdict->reason;
    }
    // Below the limit, or removed from its conversation meanwhile.
    if (!internal::says_something(waiting.message)) {
      decision.state = "dropped";
      ++report_.dropped;
    } else {
      decision.scored.sentiment = Importance::sentiment(decision.content);
      remember(decision, waiting.created, *decision.second_score, importance_.names(decision.content), entry.row,
               entry.scan);
    }
    decisions_.settle(decision);
    return decision;
  }

  void tell() {
    for (Decided& decision : std::exchange(decided_, {})) {
      if (!options_.on_decision) break;
      if (decision.session.empty()) describe(decision);
      options_.on_decision(decision);
    }
  }

  /// What was dropped unread; of what is not in its conversation any more, where and when it was said.
  void describe(Decided& decision) {
    if (const auto message = undecided_.glance(decision.message)) {
      const Decided read = decision_on(*message);
      decision.external_id = read.external_id;
      decision.speaker = read.speaker;
      decision.content = read.content;
    }
    decisions_.find_place(decision);
  }

  void take_quantiles() {
    if (scores_.empty()) return;
    std::sort(scores_.begin(), scores_.end());
    constexpr std::array<double, 5> kShares{.1, .25, .5, .75, .9};
    report_.quantiles.emplace();
    for (std::size_t i = 0; i < kShares.size(); ++i)
      (*report_.quantiles)[i] = scores_[static_cast<std::size_t>(kShares[i] * static_cast<double>(scores_.size() - 1))];
  }

  const tree::Tree& tree_;
  Store& store_;
  const ConsolidateOptions& options_;
  io::Database conversations_;
  internal::Undecided undecided_;
  internal::MessageVectors vectors_;
  std::optional<internal::Rescore> rescore_;
  const std::uint64_t asked_before_ = options_.model != nullptr ? options_.model->requests() : 0;
  internal::Decisions decisions_;
  Importance importance_;
  internal::Buffer buffer_;
  std::deque<Ready> ready_;
  std::optional<io::Transaction> transaction_;
  std::chrono::steady_clock::time_point begun_;
  std::vector<Decided> decided_;  ///< in it
  std::vector<double> scores_;
  ConsolidateReport report_;
};

}  // namespace

ConsolidateReport consolidate(const tree::Tree& tree, Store& store, std::size_t dim, const VectorSource& vectors,
                              const ConsolidateOptions& options, Progress& progress) {
  return Run(tree, store, dim, vectors, options).run(progress);
}

}  // namespace reef::memory
