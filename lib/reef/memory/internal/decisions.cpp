#include "reef/memory/internal/decisions.h"

#include "reef/memory/internal/numbering.h"

namespace reef::memory::internal {
namespace {

std::int64_t origin_of(const Decided& decision) {
  session::Message message;
  message.session = decision.session;
  message.external_id = decision.external_id;
  message.created = decision.created;
  message.content = decision.content;
  return internal::origin_of(message);
}

}  // namespace

Decisions::Decisions(io::Database& memories, Time decided_at)
    : database_(&memories),
      decided_at_(to_database_time(decided_at)),
      insert_(
          memories,
          "INSERT INTO decisions(message, session, created_at, state, score, logit, shift, emotion, request, novelty,"
          " nearest, reference, personal, answer, question, greeting, memory, decided_at,"
          " origin) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      settle_(memories,
              "UPDATE decisions SET state = ?2, second_score = ?3, memory = ?4, decided_at = ?5, model = ?6,"
              " model_score = ?7, model_reason = ?8 WHERE rank = ?1"),
      mention_(memories, "UPDATE decisions SET mentions = ?2 WHERE rank = ?1") {}

void Decisions::insert(Decided& decision) {
  const Scored& scored = decision.scored;
  const Terms& terms = scored.terms;
  insert_.bind(1, decision.message).bind(2, decision.session).bind(3, decision.created).bind(4, decision.state);
  insert_.bind(5, scored.score).bind(6, scored.logit).bind(7, scored.shift);
  int column = 8;
  for (const double term :
       {terms.emotion, terms.request, terms.novelty, terms.nearest, terms.reference, terms.personal})
    insert_.bind(column++, term);
  for (const bool term : {terms.answer, terms.question, terms.greeting}) insert_.bind(column++, term ? 1 : 0);
  if (decision.memory == 0)
    insert_.bind_null(17);
  else
    insert_.bind(17, decision.memory);
  insert_.bind(18, decided_at_).bind(19, origin_of(decision)).run();
  decision.rank = database_->last_insert_rowid();
}

void Decisions::settle(const Decided& decision) {
  settle_.bind(1, decision.rank).bind(2, decision.state);
  if (decision.second_score)
    settle_.bind(3, *decision.second_score);
  else
    settle_.bind_null(3);
  if (decision.memory == 0)
    settle_.bind_null(4);
  else
    settle_.bind(4, decision.memory);
  settle_.bind(5, decided_at_);
  for (const int column : {6, 7, 8}) settle_.bind_null(column);
  if (!decision.model.empty()) {
    settle_.bind(6, decision.model).bind(7, decision.model_score);
    // A reason may quote: of what is not remembered nothing is kept.
    if (decision.memory != 0 && !decision.model_reason.empty()) settle_.bind(8, decision.model_reason);
  }
  settle_.run();
}

void Decisions::find_place(Decided& decision) {
  auto find = database_->prepare("SELECT session, created_at FROM decisions WHERE rank = ?");
  if (!find.bind(1, decision.rank).step()) return;
  decision.session = find.text(0);
  decision.created = find.text(1);
}

void Decisions::count_mention(std::int64_t rank, std::int64_t mentions) {
  mention_.bind(1, rank).bind(2, mentions).run();
}

}  // namespace reef::memory::internal
