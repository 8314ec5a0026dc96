#include "reef/session/index.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <unordered_map>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/embed/default_embedder.h"
#include "reef/session/internal/turn_source.h"
#include "reef/session/schema.h"
#include "reef/session/turn_passages.h"
#include "reef/session/turn_store.h"

namespace reef::session {
namespace {

constexpr std::size_t kBatch = 1024;  ///< turns; a batch costs some fsyncs, and is lost by a kill

/// One run over one persona.
class Indexer {
 public:
  Indexer(const tree::Tree& tree, const IndexOptions& options, embed::Embedder& embedder, Progress& progress)
      : options_(options),
        embedder_(embedder),
        progress_(progress),
        store_(tree, options.persona, options.wait),
        source_(tree, options.persona) {}

  IndexReport run() {
    const auto begin = std::chrono::steady_clock::now();
    report_.persona = options_.persona;
    const auto identity = embedder_.identity();
    report_.model = identity.name;
    // Removed turns go first: those behind them are then embedded without what was removed.
    if (options_.other_models_only && store_.map().size() > 0) {
      const auto& there = store_.vectors().state();
      again_ = again_ && !embed::makes_vectors_of(identity, there.model_digest, there.dim);
    }
    if (again_) {
      store_.vectors().begin_again(identity.name, identity.digest, identity.dim);
      store_.map().clear();
    } else {
      use_model(identity);
      if (store_.map().size() == 0) source_.add_all_pending();
      take_removed();
    }
    try {
      embed_all();
      if (again_) take_over();
    } catch (...) {
      if (again_) store_.vectors().abandon();
      throw;
    }
    tidy();
    report_.pending = source_.count_pending();
    report_.turns = store_.vectors().state().rows_total;
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return report_;
  }

 private:
  void use_model(const embed::Identity& identity) {
    try {
      store_.vectors().use_model(identity.name, identity.digest, identity.dim);
    } catch (const Error& error) {
      if (error.code() != Errc::usage) throw;
      throw Error(Errc::usage, error.what(),
                  fmt::format("'reef-session index --persona {} --again' embeds all of them anew; or name {} in "
                              "models.yaml again",
                              options_.persona, store_.vectors().state().model));
    }
  }

  void take_removed() {
    const auto removed = source_.removed();
    if (removed.empty()) return;
    const TurnMap& map = store_.map();
    std::vector<std::uint32_t> positions;
    for (const std::int64_t id : removed)
      if (const auto position = map.position_of(id)) positions.push_back(*position);
    // Those behind them are embedded anew, without what was removed; the list outlives a run that is killed.
    std::vector<std::int64_t> followers;
    for (const std::uint32_t position : positions)
      if (map[position].next != kNoTurn) followers.push_back(map[map[position].next].id);
    source_.add_pending(followers);
    io::Transaction transaction(store_.database());
    for (const std::uint32_t position : positions) store_.remove(position);
    store_.commit();
    transaction.commit();
    source_.settle_removed(removed);
    report_.removed = positions.size();
  }

  void embed_all() {
    const std::uint64_t wanted = options_.limit == 0 ? UINT64_MAX : options_.limit;
    progress_.begin("embedding", again_ ? 0 : std::min(wanted, source_.count_pending()), ProgressUnit::items);
    std::int64_t after = 0;
    for (std::uint64_t taken = 0; taken < wanted;) {
      check_interrupt();
      const auto ids = source_.next(after, again_, std::min<std::uint64_t>(kBatch, wanted - taken));
      if (ids.empty()) break;
      embed(ids);
      taken += ids.size();
      after = ids.back();
    }
    progress_.end();
  }

  /// A turn that is here already and now follows another one, or one that says something else.
  void add_follower(const internal::PendingTurn& turn) {
    const auto position = turn.next == 0 ? std::nullopt : store_.map().position_of(turn.next);
    if (!position || again_) return;
    const std::uint32_t before = store_.map()[*position].previous;
    if (before == kNoTurn || store_.map()[before].id != turn.id || store_.map().position_of(turn.id))
      followers_.insert(turn.next);
  }

  void embed(const std::vector<std::int64_t>& ids) {
    std::vector<internal::PendingTurn> turns;
    std::vector<std::int64_t> skipped;
    for (const std::int64_t id : ids) {
      followers_.erase(id);
      read(id, turns, &skipped);
    }
    const std::set<std::int64_t> own(ids.begin(), ids.end());
    if (!again_) take_out(skipped, own);
    for (const internal::PendingTurn& turn : turns)
      if (!own.contains(turn.next)) add_follower(turn);
    for (const std::int64_t id : followers_) read(id, turns, nullptr);
    followers_.clear();
    if (!turns.empty()) append(turns);
    if (!again_) return source_.settle(turns, skipped);
    // Until the new vectors are in the place of the old ones, a killed run leaves everything pending that was.
    for (const internal::PendingTurn& turn : turns)
      marks_.emplace(turn.id, internal::TurnSource::mark_of(turn.content));
  }

  /// What is here, and says nothing any more. Those behind it are embedded anew.
  void take_out(const std::vector<std::int64_t>& blank, const std::set<std::int64_t>& own) {
    const TurnMap& map = store_.map();
    std::vector<std::uint32_t> positions;
    for (const std::int64_t id : blank) {
      const auto position = map.position_of(id);
      if (!position || map[*position].is_removed()) continue;
      positions.push_back(*position);
      const std::uint32_t next = map[*position].next;
      if (next != kNoTurn && !own.contains(map[next].id)) followers_.insert(map[next].id);
    }
    if (positions.empty()) return;
    io::Transaction transaction(store_.database());
    for (const std::uint32_t position : positions) store_.remove(position);
    store_.commit();
    transaction.commit();
    report_.removed += positions.size();
  }

  void read(std::int64_t id, std::vector<internal::PendingTurn>& turns, std::vector<std::int64_t>* skipped) {
    try {
      if (auto turn = source_.read(id))
        turns.push_back(std::move(*turn));
      else if (skipped != nullptr)
        skipped->push_back(id);
    } catch (const Error& error) {
      // Its text is in an archive that is not mounted, or damaged: it waits until it can be read.
      if (error.code() != Errc::not_found && error.code() != Errc::corrupt) throw;
      if (error.code() == Errc::corrupt && !std::exchange(told_, true))
        log_warn("{}", with_hint(error));
      else
        log_step("{}", with_hint(error));
    }
  }

  void append(const std::vector<internal::PendingTurn>& turns) {
    std::vector<std::string> passages;
    passages.reserve(turns.size());
    for (const internal::PendingTurn& turn : turns)
      passages.push_back(turn_passage(turn.previous_content, turn.content, embedder_));
    const std::vector<std::string_view> views(passages.begin(), passages.end());
    std::vector<float> vectors(turns.size() * embedder_.identity().dim);
    embedder_.embed_passages(views, vectors, options_.threads, progress_);
    store_.vectors().append(vectors);
    if (again_) {
      link(turns);
      return;
    }
    io::Transaction transaction(store_.database());
    link(turns);
    store_.commit();
    transaction.commit();
  }

  void link(const std::vector<internal::PendingTurn>& turns) {
    TurnMap& map = store_.map();
    const auto position = [&](std::int64_t id) { return id == 0 ? std::nullopt : map.position_of(id); };
    for (const internal::PendingTurn& turn : turns) {
      if (const auto before = position(turn.id); before && !again_) store_.remove(*before);
      Turn added;
      added.id = turn.id;
      added.words = static_cast<std::uint16_t>(std::min<std::uint32_t>(turn.words, UINT16_MAX));
      added.speaker = map.speaker(turn.speaker);
      map.add(added, position(turn.previous), position(turn.next));
      ++report_.embedded;
    }
  }

  void take_over() {
    io::Transaction transaction(store_.database());
    store_.database().execute("DELETE FROM dead_rows");
    store_.commit();
    transaction.commit();
    store_.vectors().publish();
    store_.vectors().remove_unnamed();
    source_.settle_all(marks_);
  }

  void tidy() {
    if ((!options_.quick && store_.rebuild_is_due()) || (again_ && vector::is_large_enough(store_.vectors().state()))) {
      store_.rebuild(options_.threads, progress_);
      report_.rebuilt = true;
    }
    store_.finish_run(options_.quick);
  }

  const IndexOptions& options_;
  embed::Embedder& embedder_;
  Progress& progress_;
  TurnStore store_;
  internal::TurnSource source_;
  bool again_ = options_.again;
  bool told_ = false;                                      ///< that an archive is damaged
  std::set<std::int64_t> followers_;                       ///< messages that follow another one than before
  std::unordered_map<std::int64_t, std::uint64_t> marks_;  ///< of what a run embeds that embeds everything
  IndexReport report_;
};

}  // namespace

IndexReport index_turns(const tree::Tree& tree, const IndexOptions& options, embed::Embedder& embedder,
                        Progress& progress) {
  if (std::error_code ignored; !std::filesystem::exists(conversations_file(tree), ignored)) {
    IndexReport nothing;
    nothing.persona = options.persona;
    nothing.model = embedder.identity().name;
    return nothing;
  }
  return Indexer(tree, options, embedder, progress).run();
}

std::uint64_t pending_turns(const tree::Tree& tree, const std::string& persona) {
  std::error_code ignored;
  if (!std::filesystem::exists(conversations_file(tree), ignored)) return 0;
  io::Database database = read_conversations(tree);
  auto count = database.prepare(
      "SELECT count(*) FROM pending_messages WHERE persona = (SELECT number FROM persona_numbers WHERE persona_id = "
      "?)");
  count.bind(1, persona).step();
  return static_cast<std::uint64_t>(count.integer(0));
}

}  // namespace reef::session
