#include "reef/retrieve/conversation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/text.h"
#include "reef/retrieve/query.h"
#include "reef/retrieve/turn_layer.h"
#include "reef/session/schema.h"
#include "reef/session/store.h"
#include "reef/session/turn_store.h"

namespace reef::retrieve {

/// What of a persona is open: the texts, their words, and the vectors where there are some.
class ConversationSearcher::Persona {
 public:
  Persona(const tree::Tree& tree, const tree::Config& config, std::string id)
      : id_(std::move(id)),
        database_(session::read_conversations(tree)),
        number_(session::persona_number(database_, id_)),
        finder_(database_, "messages_fts") {
    if (session::TurnReader::exists(tree, id_)) {
      reader_ = std::make_unique<session::TurnReader>(tree, id_);
      map_ = reader_->take_map();
    }
    embedded_ = map_.size();
    add_pending();
    TurnLayer::Source source;
    source.name = "messages";
    source.map = &map_;
    if (embedded_ > 0) {
      vector::StoreReader& vectors = reader_->vectors();
      const auto& state = vectors.state();
      source.vectors.space = state.model_digest.empty() ? state.model : state.model_digest;
      source.vectors.nearest = [&vectors](std::span<const float> query, std::size_t k) {
        std::vector<std::uint32_t> positions;
        for (const vector::Hit& hit : vectors.search(query, k))
          positions.push_back(static_cast<std::uint32_t>(hit.row));
        return positions;
      };
      source.vectors.of = [this, &vectors](std::uint32_t position) {
        return position < embedded_ && !map_[position].is_removed() ? vectors.row(position) : std::span<const float>();
      };
    }
    source.postings = [this](std::span<const std::string> terms) { return postings(terms); };
    TurnWeights weights;
    weights.speaker = config.number("system", "retrieve.speaker_bonus");
    layer_ = std::make_shared<TurnLayer>(std::move(source), weights);
  }

  const std::string& id() const { return id_; }
  const std::shared_ptr<Layer>& layer() const { return layer_; }
  const vector::StoreState* state() const { return embedded_ > 0 ? &reader_->vectors().state() : nullptr; }
  std::uint64_t by_words() const { return map_.size() - embedded_; }
  bool empty() const { return map_.size() == 0; }

  /// False for a message that was deleted since it was embedded.
  bool read(MessageResult& result, bool& damaged) {
    std::optional<session::Message> message;
    try {
      message = session::read_message(database_, archives_, result.id);
    } catch (const Error& error) {
      // It was found by what stands in the database; its text is on a drive that is not mounted, or damaged.
      if (error.code() != Errc::not_found && error.code() != Errc::corrupt) throw;
      damaged |= error.code() == Errc::corrupt;
      if (!std::exchange(told_, true)) log_warn("{}", with_hint(error));
      message = session::read_stored_message(database_, result.id);
    }
    if (!message) return false;
    result.persona = id_;
    result.session = std::move(message->session);
    result.external_id = std::move(message->external_id);
    result.role = std::move(message->role);
    result.speaker = std::move(message->speaker);
    result.content = std::move(message->content);
    result.created = session::rfc3339_of(message->created);
    return true;
  }

 private:
  std::vector<text::Postings> postings(std::span<const std::string> terms) {
    const std::int64_t first = number_ << session::kPersonaShift;
    auto found = finder_.find(terms, first, first | ((std::int64_t{1} << session::kPersonaShift) - 1));
    for (text::Postings& term : found)
      for (std::int64_t& row : term.rows) row -= first;
    return found;
  }

  /// Turns that are not embedded are neighbours of one another where they follow each other in a session.
  void add_pending() {
    auto pending = database_.prepare(
        "SELECT m.id, m.session_id, m.speaker, w.sz, m.role FROM pending_messages p JOIN messages m ON m.id = "
        "p.message "
        "JOIN messages_fts_docsize w ON w.id = (p.persona << 40 | p.message) WHERE p.persona = ? "
        "ORDER BY m.session_id, m.created_at, m.id");
    pending.bind(1, number_);
    std::string session;
    std::optional<std::uint32_t> before;
    while (pending.step()) {
      const std::int64_t id = pending.integer(0);
      const bool follows = pending.text(1) == session;
      session = pending.text(1);
      if (const auto known = map_.position_of(id)) {
        before = known;  // it was changed; its words are found by the new text already
        continue;
      }
      session::Turn turn;
      turn.id = id;
      turn.words = static_cast<std::uint16_t>(std::min<std::uint32_t>(text::words_in_row(pending.blob(3)), UINT16_MAX));
      if (!follows) before.reset();
      if (turn.words == 0) continue;  // nothing finds it, and it parts no others
      turn.speaker = map_.speaker(session::speaker_of(pending.text(4), pending.text(2)));
      before = map_.add(turn, before, std::nullopt);
    }
  }

  std::string id_;
  io::Database database_;
  std::int64_t number_;
  text::PostingsFinder finder_;
  std::unique_ptr<session::TurnReader> reader_;
  session::TurnMap map_;
  std::size_t embedded_ = 0;
  std::shared_ptr<Layer> layer_;
  session::Archives archives_;
  bool told_ = false;
};

ConversationSearcher::ConversationSearcher(const tree::Tree& tree, const tree::Config& config,
                                           embed::EmbedderMaker make_embedder)
    : tree_(tree), config_(config), make_embedder_(std::move(make_embedder)) {}
ConversationSearcher::~ConversationSearcher() = default;

ConversationSearcher::Persona& ConversationSearcher::persona(const std::string& id) {
  auto& slot = personas_[id];
  if (!slot) slot = std::make_unique<Persona>(tree_, config_, id);
  return *slot;
}

std::vector<ConversationSearcher::Persona*> ConversationSearcher::chosen(const MessageQuery& options) {
  std::vector<std::string> ids;
  if (options.persona) {
    ids.push_back(*options.persona);
  } else {
    auto database = session::read_conversations(tree_);
    auto all = database.prepare("SELECT DISTINCT persona_id FROM sessions ORDER BY persona_id");
    while (all.step()) ids.emplace_back(all.text(0));
  }
  std::vector<Persona*> personas;
  for (const std::string& id : ids)
    if (Persona& opened = persona(id); !opened.empty()) personas.push_back(&opened);
  if (personas.empty())
    throw Error(Errc::not_found,
                options.persona ? fmt::format("persona '{}' has no conversations", *options.persona)
                                : "there are no conversations in this tree",
                "run 'reef-session import FILE --persona ID' first");
  return personas;
}

embed::Embedder* ConversationSearcher::embedder(const std::string& name, const std::string& digest) {
  auto found = embedders_.find(name);
  if (found == embedders_.end()) {
    std::unique_ptr<embed::Embedder> made;
    try {
      made = embed::open_embedder_of(make_embedder_, name, digest);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;
      log_warn("conversations are searched by words alone: {}", error.what());
    }
    found = embedders_.emplace(name, std::move(made)).first;
  }
  return found->second.get();
}

bool ConversationSearcher::embed(Persona& persona, const std::string& text) {
  const vector::StoreState* state = persona.state();
  if (state == nullptr) return false;
  embed::Embedder* model = embedder(state->model, state->model_digest);
  if (model == nullptr) return false;
  if (!embed::makes_vectors_of(model->identity(), state->model_digest, state->dim)) {
    log_warn(
        "{} is searched by words alone: its vectors come from another {}; 'reef-session index --persona {} --again' "
        "makes them anew",
        persona.id(), state->model, persona.id());
    return false;
  }
  std::vector<float> vector(state->dim);
  model->embed_query(persona.layer()->dense_text(text), vector);
  persona.layer()->use_vector(vector);
  return true;
}

MessageAnswer ConversationSearcher::search(const std::string& text, const MessageQuery& options) {
  const auto begin = std::chrono::steady_clock::now();
  MessageAnswer answer;
  answer.question = to_valid_utf8(text);
  if (is_blank(answer.question))
    throw Error(Errc::usage, "the question is empty", "ask in words: reef-session search 'TEXT'");
  Question question;
  question.text = answer.question;
  if (options.mode != Mode::dense) question.terms = text::query_terms(answer.question);
  const auto personas = chosen(options);
  // Looking words up takes as long as the model: one thread each.
  auto looked_up = std::async(std::launch::async, [&] {
    for (Persona* persona : personas) persona->layer()->ask(question);
  });
  bool any = false;
  std::exception_ptr failed;
  try {
    if (options.mode != Mode::bm25)
      for (Persona* persona : personas) any = embed(*persona, answer.question) || any;
  } catch (...) {
    failed = std::current_exception();
  }
  looked_up.get();
  if (failed) std::rethrow_exception(failed);
  if (options.mode == Mode::dense && !any)
    throw Error(Errc::not_found, "no turn that could be searched has a vector",
                "run 'reef-session index', or ask in words with --mode bm25");
  std::vector<std::shared_ptr<Layer>> layers;
  for (const Persona* persona : personas) {
    layers.push_back(persona->layer());
    answer.by_words += persona->by_words();
  }
  const std::vector<double> priors(layers.size(), 1.);
  FuseOptions fuse;
  fuse.mode = options.mode;
  fuse.candidates = std::max(fuse.candidates, options.count);
  for (const Scored& scored : Fusion(layers, priors, question, fuse).search()) {
    if (answer.results.size() == options.count) break;
    MessageResult result;
    result.rank = answer.results.size() + 1;
    result.score = scored.score;
    result.bm25 = scored.bm25;
    result.cosine = scored.cosine;
    result.id = scored.id;
    if (personas[scored.layer]->read(result, answer.damaged)) answer.results.push_back(std::move(result));
  }
  answer.elapsed_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  return answer;
}

}  // namespace reef::retrieve
