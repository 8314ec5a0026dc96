#include "reef/memory/consolidate.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
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

constexpr std::size_t kBatch = 256;
constexpr std::size_t kKeptRows = 16'384;  ///< of messages in the buffer

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
      const Time until = ready_.empty() ? options_.now : ready_.front().created;
      if (!buffer_.empty() && buffer_.begin()->first + kDay <= until) {
        settle(until);
      } else if (!ready_.empty()) {
        progress.advance(score_batch());
      } else {
        break;
      }
    }
    progress.end();
    io::Transaction transaction(store_.database());
    undecided_.save_watermark();
    transaction.commit();
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
      buffer(internal::time_of(rows.text(2)), {rows.integer(0), rows.integer(1), rows.real(3), rows.integer(4), {}});
    if (undecided_.left() == 0) return;
    for (const auto& [created, entry] : buffer_)
      if (const auto message = undecided_.find(entry.message))
        mentions_.add(entry.rank, created, entry.mentions, Importance::word_hashes(message->content));
  }

  void buffer(Time created, Buffered entry) {
    const std::int64_t rank = entry.rank;
    place_of_[rank] = buffer_.emplace(created, std::move(entry));
  }

  /// Texts and vectors of the next messages, before a transaction begins.
  void fetch() {
    std::vector<Waiting> next = undecided_.next(kBatch);
    std::vector<float> rows = rows_of(next);
    for (std::size_t i = 0; i < next.size(); ++i) {
      ready_.push_back(std::move(next[i]));
      ready_rows_.emplace_back(rows.begin() + static_cast<std::ptrdiff_t>(i * dim_),
                               rows.begin() + static_cast<std::ptrdiff_t>((i + 1) * dim_));
    }
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
  std::size_t score_batch() {
    std::vector<Decided> decided;
    io::Transaction transaction(store_.database());
    do {
      decided.push_back(decide(ready_.front(), ready_rows_.front()));
      ready_.pop_front();
      ready_rows_.pop_front();
    } while (!ready_.empty() && (buffer_.empty() || buffer_.begin()->first + kDay > ready_.front().created));
    importance_.save();
    transaction.commit();
    tell(decided);
    return decided.size();
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

  Decided decide(const Waiting& waiting, std::span<const float> row) {
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
    const auto nearest = row.empty() ? std::nullopt : store_.nearest(row, message.content);
    decision.scored = importance_.score({decision.speaker, message.content},
                                        nearest ? static_cast<double>(nearest->cosine) : 0, previous);
    ++report_.scored;
    scores_.push_back(decision.scored.score);
    for (const std::int64_t rank : mentions_.mentioned_by(waiting.created, decision.scored.rare)) count_mention(rank);

    const double score = decision.scored.score;
    const ImportanceOptions& limits = options_.importance;
    if (score > limits.remember) {
      remember(decision, waiting.created, score, decision.scored.names, row);
      decisions_.insert(decision);
    } else if (score >= limits.discard) {
      decision.state = "buffered";
      ++report_.buffered;
      decisions_.insert(decision);
      const bool keep = buffer_.size() < kKeptRows;
      buffer(waiting.created,
             {decision.rank, message.id, score, 0, keep ? std::vector(row.begin(), row.end()) : std::vector<float>{}});
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
                std::span<const float> row) {
    NewMemory memory;
    memory.content = decision.content;
    memory.speaker = decision.speaker;
    memory.embedding = row;
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
    if (rescore_) rescore_->ask_about_due(buffer_, until, kBatch, options_.now);
    std::vector<Waiting> messages;
    std::vector<Buffered> entries;
    while (!buffer_.empty() && buffer_.begin()->first + kDay <= until && entries.size() < kBatch) {
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

    std::vector<Decided> decided;
    io::Transaction transaction(store_.database());
    for (std::size_t i = 0; i < entries.size(); ++i) decided.push_back(settle_one(entries[i], messages[i]));
    transaction.commit();
    tell(decided);
  }

  /// Rows of those that wait since another run.
  void fill_rows(std::vector<Buffered>& entries, std::span<const Waiting> messages) {
    std::vector<Waiting> without;
    for (std::size_t i = 0; i < entries.size(); ++i)
      if (entries[i].row.empty()) without.push_back(messages[i]);
    const std::vector<float> rows = rows_of(without);
    auto next = rows.begin();
    for (Buffered& entry : entries)
      if (entry.row.empty() && dim_ > 0) {
        const auto end = next + static_cast<std::ptrdiff_t>(dim_);
        entry.row.assign(std::exchange(next, end), end);
      }
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
      remember(decision, waiting.created, *decision.second_score, importance_.names(decision.content), entry.row);
    }
    decisions_.settle(decision);
    return decision;
  }

  void tell(std::vector<Decided>& decided) {
    if (!options_.on_decision) return;
    for (Decided& decision : decided) {
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
  std::deque<Waiting> ready_;
  std::deque<std::vector<float>> ready_rows_;
  std::vector<double> scores_;
  ConsolidateReport report_;
};

}  // namespace

ConsolidateReport consolidate(const tree::Tree& tree, Store& store, std::size_t dim, const VectorSource& vectors,
                              const ConsolidateOptions& options, Progress& progress) {
  return Run(tree, store, dim, vectors, options).run(progress);
}

}  // namespace reef::memory
