#include "reef/memory/consolidate.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/memory/internal/buffer.h"
#include "reef/memory/internal/decisions.h"
#include "reef/memory/internal/mentions.h"
#include "reef/memory/internal/rescore.h"
#include "reef/memory/internal/undecided.h"
#include "reef/memory/summarise.h"

namespace reef::memory {
namespace {

using internal::Buffer;
using internal::Buffered;
using internal::kDay;
using internal::Waiting;

constexpr std::size_t kKeptRows = 16'384;  ///< of messages in the buffer
constexpr auto kLongest = std::chrono::milliseconds(25);

/// A message that is to be scored next.
struct Ready {
  Waiting waiting;
  std::vector<float> row;  ///< empty: there are no vectors; zeros: it says nothing
  std::optional<internal::Scan> scan = {};
};

/// Messages that were read while those before them are decided.
struct Ahead {
  std::vector<Waiting> messages;
  std::vector<float> rows;
  std::future<std::vector<internal::Scan>> scans;  ///< of the rows: it goes first
};

class Run {
 public:
  Run(const tree::Tree& tree, Store& store, std::size_t dim, const VectorSource& vectors,
      const ConsolidateOptions& options)
      : tree_(tree),
        store_(store),
        dim_(vectors ? dim : 0),
        vectors_(vectors),
        options_(options),
        conversations_(session::read_conversations(tree)),
        undecided_(conversations_, store.database(), store.persona(), options.now),
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
      if (!buffer_.empty() && buffer_.begin()->first + kDay <= until) {
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
    while (rows.step())
      buffer(internal::time_of(rows.text(2)),
             {rows.integer(0), rows.integer(1), rows.real(3), rows.integer(4), {}, {}});
    if (undecided_.left() == 0) return;
    for (const auto& [created, entry] : buffer_)
      if (const auto message = undecided_.find(entry.message))
        mentions_.add(entry.rank, created, entry.mentions, Importance::word_hashes(message->content));
  }

  void buffer(Time created, Buffered entry) {
    const std::int64_t rank = entry.rank;
    place_of_[rank] = buffer_.emplace(created, std::move(entry));
  }

  void begin() {
    if (transaction_) return;
    transaction_.emplace(store_.database());
    begun_ = std::chrono::steady_clock::now();
  }

  /// Whether the transaction is to end, so that whoever waits for it does not wait long.
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

  /// Puts the messages that were read ahead into ready_, and reads those behind them, near which another thread looks
  /// for memories meanwhile.
  void fetch() {
    commit();
    if (!ahead_) read_ahead();
    const std::unique_ptr<Ahead> batch = std::move(ahead_);
    if (!batch) return;
    auto scans = batch->scans.get();
    for (std::size_t i = 0; i < batch->messages.size(); ++i) {
      Ready& ready = ready_.emplace_back();
      ready.waiting = std::move(batch->messages[i]);
      const auto row = std::span(batch->rows).subspan(i * dim_, dim_);
      ready.row.assign(row.begin(), row.end());
      if (i < scans.size()) ready.scan = std::move(scans[i]);
    }
    read_ahead();
  }

  /// To make vectors takes long: outside a transaction.
  void read_ahead() {
    auto batch = std::make_unique<Ahead>();
    batch->messages = undecided_.next(options_.batch);
    if (batch->messages.empty()) return;
    batch->rows = rows_of(batch->messages);
    const bool beside = options_.threads > 1;
    batch->scans = std::async(beside ? std::launch::async | std::launch::deferred : std::launch::deferred,
                              [scanner = store_.scanner(), &rows = batch->rows, threads = options_.threads - beside] {
                                return scanner.scan(rows, threads);
                              });
    ahead_ = std::move(batch);
  }

  /// Rows of zeros for what says nothing.
  std::vector<float> rows_of(std::span<const Waiting> messages) {
    std::vector<float> rows(messages.size() * dim_);
    if (dim_ == 0) return rows;
    std::vector<MessageText> texts;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < messages.size(); ++i)
      if (internal::says_something(messages[i].message)) {
        texts.push_back({messages[i].message.id, messages[i].message.content});
        places.push_back(i);
      }
    std::vector<float> made(texts.size() * dim_);
    if (!texts.empty()) vectors_(texts, made);
    for (std::size_t i = 0; i < places.size(); ++i)
      std::copy_n(made.begin() + static_cast<std::ptrdiff_t>(i * dim_), dim_,
                  rows.begin() + static_cast<std::ptrdiff_t>(places[i] * dim_));
    return rows;
  }

  /// Scores what is ready, up to the first message before which the buffer is to be settled. Returns how many.
  std::size_t score_ready() {
    begin();
    std::size_t scored = 0;
    do {
      decided_.push_back(decide(ready_.front()));
      ready_.pop_front();
      ++scored;
    } while (!ready_.empty() && !is_long() &&
             (buffer_.empty() || buffer_.begin()->first + kDay > ready_.front().waiting.created));
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
    for (const std::int64_t rank : mentions_.mentioned_by(waiting.created, decision.scored.rare)) count_mention(rank);

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
      buffer(waiting.created, {decision.rank, message.id, score, 0, keep ? std::move(ready.row) : std::vector<float>{},
                               keep ? std::move(ready.scan) : std::nullopt});
      mentions_.add(decision.rank, waiting.created, 0, decision.scored.words);
    } else {
      ++report_.discarded;
      decisions_.insert(decision);
    }
    return decision;
  }

  void count_mention(std::int64_t rank) {
    Buffered& entry = place_of_.at(rank)->second;
    decisions_.count_mention(rank, ++entry.mentions);
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
    std::vector<Waiting> messages;
    std::vector<Buffered> entries;
    while (!buffer_.empty() && buffer_.begin()->first + kDay <= until && entries.size() < options_.batch) {
      const Time created = buffer_.begin()->first;
      Buffered entry = std::move(buffer_.begin()->second);
      mentions_.remove(entry.rank);
      place_of_.erase(entry.rank);
      buffer_.erase(buffer_.begin());
      Waiting waiting{{}, created};
      if (entry.second() >= options_.importance.second) {
        if (auto message = undecided_.find(entry.message)) waiting.message = *std::move(message);
        if (undecided_.is_unreadable(entry.message)) {  // it waits on, until a later run can read it
          ++report_.waiting;
          continue;
        }
      }
      entries.push_back(std::move(entry));
      messages.push_back(std::move(waiting));
    }
    fill_rows(entries, messages);
    scan(entries, messages);
    begin();
    for (std::size_t i = 0; i < entries.size(); ++i) decided_.push_back(settle_one(entries[i], messages[i]));
    if (rescore_) commit();  // nobody asks, and pays, again
  }

  /// Rows of those that wait since another run, and are to be remembered.
  void fill_rows(std::vector<Buffered>& entries, std::span<const Waiting> messages) {
    std::vector<Waiting> without;
    std::vector<Buffered*> filled;
    for (std::size_t i = 0; i < entries.size(); ++i)
      if (dim_ > 0 && entries[i].row.empty() && internal::says_something(messages[i].message)) {
        without.push_back(messages[i]);
        filled.push_back(&entries[i]);
      }
    if (without.empty()) return;
    commit();
    const std::vector<float> rows = rows_of(without);
    for (std::size_t i = 0; i < filled.size(); ++i) {
      const auto row = std::span(rows).subspan(i * dim_, dim_);
      filled[i]->row.assign(row.begin(), row.end());
    }
  }

  /// Looks for what lies near those that are to be remembered, where that was not done, or long ago.
  void scan(std::vector<Buffered>& entries, std::span<const Waiting> messages) {
    std::vector<float> rows;
    std::vector<Buffered*> scanned;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      Buffered& entry = entries[i];
      if (entry.row.empty() || !internal::says_something(messages[i].message)) continue;
      if (entry.scan && store_.is_recent(*entry.scan)) continue;
      rows.insert(rows.end(), entry.row.begin(), entry.row.end());
      scanned.push_back(&entry);
    }
    if (rows.empty()) return;
    commit();
    auto scans = store_.scanner().scan(rows, options_.threads);
    for (std::size_t i = 0; i < std::min(scans.size(), scanned.size()); ++i) scanned[i]->scan = std::move(scans[i]);
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
  std::size_t dim_;
  const VectorSource& vectors_;
  const ConsolidateOptions& options_;
  io::Database conversations_;
  internal::Undecided undecided_;
  std::optional<internal::Rescore> rescore_;
  const std::uint64_t asked_before_ = options_.model != nullptr ? options_.model->requests() : 0;
  internal::Decisions decisions_;
  Importance importance_;
  internal::Mentions mentions_;
  Buffer buffer_;
  std::unordered_map<std::int64_t, Buffer::iterator> place_of_;
  std::unique_ptr<Ahead> ahead_;
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
