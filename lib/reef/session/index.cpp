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
#include "reef/io/checksum.h"
#include "reef/session/schema.h"
#include "reef/session/store.h"
#include "reef/session/turn_store.h"
#include "reef/text/full_text.h"

namespace reef::session {
namespace {

constexpr std::size_t kBatch = 1024;      ///< turns; a batch costs some fsyncs, and is lost by a kill
constexpr std::size_t kLongestWord = 64;  ///< bytes within which a space is looked for

/// A message and its neighbours, as the conversation has them now.
struct PendingTurn {
  std::int64_t id = 0;
  std::string content;
  std::string speaker;
  std::string previous_content;
  std::int64_t previous = 0;  ///< 0: there is none
  std::int64_t next = 0;
  std::uint32_t words = 0;
};

/// Reads what is to be embedded out of conversations.sqlite.
class Source {
 public:
  Source(const tree::Tree& tree, const std::string& persona)
      : database_(open_conversations(tree)), persona_(persona_number(database_, persona)), persona_id_(persona) {}

  std::int64_t persona() const { return persona_; }

  /// Numbers of pending messages, or with `all` of all there are, behind `after`.
  std::vector<std::int64_t> next(std::int64_t after, bool all, std::size_t count) {
    io::Statement find;
    if (all) {
      find = database_.prepare(
          "SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id WHERE s.persona_id = ?1 AND m.id > ?2"
          " ORDER BY m.id LIMIT ?3");
      find.bind(1, persona_id_);
    } else {
      find = database_.prepare(
          "SELECT message FROM pending_messages WHERE persona = ?1 AND message > ?2 ORDER BY message LIMIT ?3");
      find.bind(1, persona_);
    }
    find.bind(2, after).bind(3, static_cast<std::int64_t>(count));
    return numbers(find);
  }
  std::uint64_t count_pending() {
    auto count = database_.prepare("SELECT count(*) FROM pending_messages WHERE persona = ?");
    count.bind(1, persona_).step();
    return static_cast<std::uint64_t>(count.integer(0));
  }
  std::vector<std::int64_t> removed() {
    auto find = database_.prepare("SELECT message FROM removed_messages WHERE persona = ?");
    find.bind(1, persona_);
    return numbers(find);
  }

  /// nullopt for a message that is gone, or says nothing. Throws Error{not_found} where its archive is not mounted,
  /// Error{corrupt} where that is damaged.
  std::optional<PendingTurn> read(std::int64_t id) {
    auto message = reader_.read(archives_, id);
    if (!message || is_blank_turn(message->content)) return std::nullopt;
    const std::string& session = message->session;
    const std::string& created = message->created;
    PendingTurn turn;
    turn.id = id;
    turn.speaker = speaker_of(message->role, message->speaker);
    turn.content = std::move(message->content);
    turn.previous = neighbour(previous_, session, created, id);
    if (turn.previous != 0)
      if (const auto before = reader_.read(archives_, turn.previous)) turn.previous_content = before->content;
    turn.next = neighbour(next_, session, created, id);
    words_.bind(1, persona_ << kPersonaShift | id);
    if (words_.step()) turn.words = text::words_in_row(words_.blob(0));
    words_.reset();
    return turn;
  }

  /// After their vectors were committed. A message that was changed meanwhile stays pending.
  void settle(const std::vector<PendingTurn>& embedded, const std::vector<std::int64_t>& skipped) {
    io::Transaction transaction(database_);
    auto done = database_.prepare(
        "DELETE FROM pending_messages WHERE persona = ?1 AND message = ?2 AND "
        "EXISTS (SELECT 1 FROM messages WHERE id = ?2 AND (content = ?3 OR archive_offset IS NOT NULL))");
    for (const PendingTurn& turn : embedded) done.bind(1, persona_).bind(2, turn.id).bind(3, turn.content).run();
    transaction.commit();
    for_each(skipped, "DELETE FROM pending_messages WHERE persona = ?1 AND message = ?2");
  }
  /// The same for a run that embeds all of them, after what it made was put in place: `marks` are those of the texts.
  void settle_all(const std::unordered_map<std::int64_t, std::uint64_t>& marks) {
    std::int64_t after = 0;
    for (auto ids = next(after, false, kStep); !ids.empty(); ids = next(after, false, kStep)) {
      io::Transaction transaction(database_);
      auto find = database_.prepare("SELECT content, archive_offset IS NOT NULL FROM messages WHERE id = ?");
      auto done = database_.prepare("DELETE FROM pending_messages WHERE persona = ? AND message = ?");
      for (const std::int64_t id : ids) {
        find.reset().bind(1, id);
        const auto mark = marks.find(id);
        const bool is_there = find.step(), is_archived = is_there && find.integer(1) != 0;
        const bool is_embedded = mark != marks.end() && (is_archived || mark->second == mark_of(find.text(0)));
        if (!is_there || is_embedded || (!is_archived && is_blank_turn(find.text(0))))
          done.bind(1, persona_).bind(2, id).run();
      }
      find.reset();
      transaction.commit();
      after = ids.back();
    }
  }
  static std::uint64_t mark_of(std::string_view content) {
    return io::xxh3({reinterpret_cast<const std::uint8_t*>(content.data()), content.size()});
  }
  /// For a store that was removed: nothing of the persona is embedded.
  void add_all_pending() {
    std::int64_t after = 0;
    for (auto ids = next(after, true, 10'000); !ids.empty(); ids = next(after, true, 10'000)) {
      add_pending(ids);
      after = ids.back();
    }
  }
  void add_pending(const std::vector<std::int64_t>& ids) {
    for_each(ids, "INSERT OR IGNORE INTO pending_messages SELECT ?1, id FROM messages WHERE id = ?2");
  }
  void settle_removed(const std::vector<std::int64_t>& ids) {
    for_each(ids, "DELETE FROM removed_messages WHERE persona = ?1 AND message = ?2");
  }

 private:
  static std::vector<std::int64_t> numbers(io::Statement& statement) {
    std::vector<std::int64_t> found;
    while (statement.step()) found.push_back(statement.integer(0));
    return found;
  }

  static constexpr std::size_t kStep = 2000;  ///< rows of a transaction that keeps no other writer waiting

  /// The first row that says something; 0 for none.
  static std::int64_t neighbour(io::Statement& rows, const std::string& session, const std::string& created,
                                std::int64_t id) {
    rows.reset().bind(1, session).bind(2, created).bind(3, id);
    std::int64_t found = 0;
    while (found == 0 && rows.step())
      if (rows.integer(1) != 0 || !is_blank_turn(rows.text(2))) found = rows.integer(0);
    rows.reset();
    return found;
  }

  void for_each(std::span<const std::int64_t> ids, const char* sql) {
    for (; !ids.empty(); ids = ids.subspan(std::min(kStep, ids.size()))) {
      io::Transaction transaction(database_);
      auto statement = database_.prepare(sql);
      for (const std::int64_t id : ids.first(std::min(kStep, ids.size())))
        statement.bind(1, persona_).bind(2, id).run();
      transaction.commit();
    }
  }

  io::Database database_;
  std::int64_t persona_;
  std::string persona_id_;
  Archives archives_;
  MessageReader reader_{database_};
  io::Statement previous_{database_,
                          "SELECT id, archive_offset IS NOT NULL, content FROM messages WHERE session_id = ?1 "
                          "AND (created_at, id) < (?2, ?3) ORDER BY created_at DESC, id DESC"};
  io::Statement next_{database_,
                      "SELECT id, archive_offset IS NOT NULL, content FROM messages WHERE session_id = ?1 "
                      "AND (created_at, id) > (?2, ?3) ORDER BY created_at, id"};
  io::Statement words_{database_, "SELECT sz FROM messages_fts_docsize WHERE id = ?"};
};

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
  void add_follower(const PendingTurn& turn) {
    const auto position = turn.next == 0 ? std::nullopt : store_.map().position_of(turn.next);
    if (!position || again_) return;
    const std::uint32_t before = store_.map()[*position].previous;
    if (before == kNoTurn || store_.map()[before].id != turn.id || store_.map().position_of(turn.id))
      followers_.insert(turn.next);
  }

  void embed(const std::vector<std::int64_t>& ids) {
    std::vector<PendingTurn> turns;
    std::vector<std::int64_t> skipped;
    for (const std::int64_t id : ids) {
      followers_.erase(id);
      read(id, turns, &skipped);
    }
    const std::set<std::int64_t> own(ids.begin(), ids.end());
    if (!again_) take_out(skipped, own);
    for (const PendingTurn& turn : turns)
      if (!own.contains(turn.next)) add_follower(turn);
    for (const std::int64_t id : followers_) read(id, turns, nullptr);
    followers_.clear();
    if (!turns.empty()) append(turns);
    if (!again_) return source_.settle(turns, skipped);
    // Until the new vectors are in the place of the old ones, a killed run leaves everything pending that was.
    for (const PendingTurn& turn : turns) marks_.emplace(turn.id, Source::mark_of(turn.content));
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

  void read(std::int64_t id, std::vector<PendingTurn>& turns, std::vector<std::int64_t>* skipped) {
    try {
      if (auto turn = source_.read(id))
        turns.push_back(std::move(*turn));
      else if (skipped != nullptr)
        skipped->push_back(id);
    } catch (const Error& error) {
      // Its text is in an archive that is not mounted, or damaged: it waits until it can be read.
      if (error.code() != Errc::not_found && error.code() != Errc::corrupt) throw;
      if (error.code() == Errc::corrupt && !std::exchange(told_, true))
        log_warn("{} ({})", error.what(), error.hint());
      else
        log_step("{} ({})", error.what(), error.hint());
    }
  }

  void append(const std::vector<PendingTurn>& turns) {
    std::vector<std::string> passages;
    passages.reserve(turns.size());
    for (const PendingTurn& turn : turns)
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

  void link(const std::vector<PendingTurn>& turns) {
    TurnMap& map = store_.map();
    const auto position = [&](std::int64_t id) { return id == 0 ? std::nullopt : map.position_of(id); };
    for (const PendingTurn& turn : turns) {
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
    bool wanted = !options_.quick && store_.rebuild_is_due();
    if (options_.purge && !wanted) {
      auto dead = store_.database().prepare("SELECT 1 FROM dead_rows LIMIT 1");
      wanted = dead.step();
    }
    if (wanted || (again_ && vector::is_large_enough(store_.vectors().state()))) {
      store_.rebuild(options_.threads, progress_);
      report_.rebuilt = true;
    }
    store_.finish_run(options_.quick);
  }

  const IndexOptions& options_;
  embed::Embedder& embedder_;
  Progress& progress_;
  TurnStore store_;
  Source source_;
  bool again_ = options_.again;
  bool told_ = false;                                      ///< that an archive is damaged
  std::set<std::int64_t> followers_;                       ///< messages that follow another one than before
  std::unordered_map<std::int64_t, std::uint64_t> marks_;  ///< of what a run embeds that embeds everything
  IndexReport report_;
};

}  // namespace

std::string turn_passage(std::string_view previous, std::string_view turn, const embed::Embedder& embedder) {
  if (is_blank_turn(previous)) return std::string(turn);
  const std::size_t limit = embedder.passage_tokens(), own = embedder.count_tokens(turn);
  std::size_t there = embedder.count_tokens(previous);
  std::string_view tail = previous;
  while (own + there > limit) {
    if (own >= limit) return std::string(turn);
    // A cut in proportion, then at the next space, or in text without any at the next character; what is left may have
    // a few tokens too many still.
    std::size_t begin = tail.size() - std::min(tail.size() - 1, tail.size() * (limit - own) / there);
    const std::size_t space = tail.substr(begin, kLongestWord).find(' ');
    if (space != std::string_view::npos) begin += space + 1;
    while (begin < tail.size() && (static_cast<unsigned char>(tail[begin]) & 0xC0) == 0x80) ++begin;
    tail.remove_prefix(begin);
    if (is_blank_turn(tail)) return std::string(turn);
    there = embedder.count_tokens(tail);
  }
  return fmt::format("{}\n{}", tail, turn);
}

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
