#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/memory/consolidate.h"
#include "reef/session/store.h"

namespace reef::memory {
namespace {

using Json = nlohmann::ordered_json;

/// What was scored in this run has terms; what left the buffer has the second score instead.
bool has_terms(const Decided& decision) { return decision.scored.score > 0 && !decision.second_score; }

Json terms_of(const Scored& scored) {
  const Terms& terms = scored.terms;
  return {{"emotion", rounded(terms.emotion)},
          {"request", rounded(terms.request)},
          {"asked", terms.asked},
          {"novelty", rounded(terms.novelty)},
          {"nearest", rounded(terms.nearest)},
          {"reference", rounded(terms.reference)},
          {"personal", rounded(terms.personal)},
          {"answer", terms.answer},
          {"question", terms.question},
          {"greeting", terms.greeting},
          {"logit", rounded(scored.logit)},
          {"shift", rounded(scored.shift)}};
}

/// One line, without what would steer a terminal, 60 characters of it.
std::string excerpt(std::string_view content) {
  constexpr std::size_t kLongest = 60;
  std::string text = printable(content.substr(0, 4 * kLongest));
  std::size_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((text[i] & 0xC0) != 0x80 && ++characters > kLongest) return text.substr(0, i) + "…";
  return text;
}

}  // namespace

std::string to_json(const Decided& decision) {
  Json json{{"schema", "reef.memory.decision/1"},
            {"message", decision.message},
            {"session", decision.session},
            {"external_id", decision.external_id},
            {"speaker", decision.speaker},
            {"content", decision.content},
            {"created", session::rfc3339_of(decision.created)},
            {"state", decision.state},
            {"score", rounded(decision.scored.score)},
            {"terms", has_terms(decision) ? terms_of(decision.scored) : Json(nullptr)},
            {"mentions", decision.mentions},
            {"second_score", decision.second_score ? Json(rounded(*decision.second_score)) : Json(nullptr)},
            {"language_model", decision.model.empty() ? Json(nullptr)
                                                      : Json{{"model", decision.model},
                                                             {"score", rounded(decision.model_score)},
                                                             {"adds", rounded(model_term(decision.model_score))},
                                                             {"reason", decision.model_reason}}},
            {"memory", decision.memory == 0 ? Json(nullptr) : Json(shown_id(decision.memory))}};
  return dump(json);
}

std::string to_text(const Decided& decision) {
  const Terms& terms = decision.scored.terms;
  std::string line = fmt::format("{:.2f} {:10}", decision.scored.score, decision.state);
  if (decision.second_score)
    line += fmt::format(" after a day {:.2f}, mentioned {}", *decision.second_score,
                        decision.mentions == 0   ? "never"
                        : decision.mentions == 1 ? "once"
                                                 : "twice or more");
  if (!decision.model.empty())
    line += fmt::format(", {} gave {:.2f}: {:+.2f}{}", printable(decision.model), decision.model_score,
                        model_term(decision.model_score),
                        decision.model_reason.empty() ? "" : " (" + printable(decision.model_reason) + ")");
  if (has_terms(decision))
    line += fmt::format(
        " emotion {:.2f} request {:.0f} novelty {:.2f} unlike {:.2f} reference {:.2f} personal {:.2f} answer {:d}"
        " question {:d} greeting {:d}, logit {:+.2f} less {:+.2f}{}",
        terms.emotion, terms.request, terms.novelty, 1 - terms.nearest, terms.reference, terms.personal, terms.answer,
        terms.question, terms.greeting, decision.scored.logit, decision.scored.shift, terms.asked ? ", asked" : "");
  if (decision.memory != 0) line += " -> " + shown_id(decision.memory);
  if (!decision.content.empty()) line += ": " + excerpt(decision.content);
  return line + "\n";
}

std::string to_json(const ConsolidateReport& report) {
  Json quantiles(nullptr);
  if (report.quantiles) {
    const auto& q = *report.quantiles;
    quantiles = {{"0.1", rounded(q[0])},
                 {"0.25", rounded(q[1])},
                 {"0.5", rounded(q[2])},
                 {"0.75", rounded(q[3])},
                 {"0.9", rounded(q[4])}};
  }
  Json model(nullptr);
  if (report.model)
    model = {{"model", report.model->model},
             {"requests", report.model->requests},
             {"asked", report.model->asked},
             {"answered", report.model->answered},
             {"fell_back", report.model->fell_back},
             {"summaries", report.model->summaries},
             {"not_summarised", report.model->not_summarised}};
  return dump(Json{{"schema", "reef.memory.consolidate/1"},
                   {"persona", report.persona},
                   {"now", to_rfc3339(report.now)},
                   {"changed", report.changed()},
                   {"scored", report.scored},
                   {"unscored", report.unscored},
                   {"discarded", report.discarded},
                   {"buffered", report.buffered},
                   {"dropped", report.dropped},
                   {"remembered", report.remembered},
                   {"merged", report.merged},
                   {"superseded", report.superseded},
                   {"forgotten", report.forgotten},
                   {"waiting", report.waiting},
                   {"later", report.later},
                   {"unreadable", report.unreadable},
                   {"quantiles", std::move(quantiles)},
                   {"language_model", std::move(model)},
                   {"memories", report.finish.memories},
                   {"files", report.finish.files}});
}

std::string to_text(const ConsolidateReport& report) {
  std::string text;
  if (!report.changed()) {
    text = fmt::format("{}: already so; nothing to decide", report.persona);
  } else {
    text = fmt::format("{}: {} remembered", report.persona, format_count(report.remembered));
    const std::pair<std::uint64_t, const char*> counts[] = {{report.merged, "merged"},
                                                            {report.superseded, "superseded"},
                                                            {report.buffered, "buffered"},
                                                            {report.dropped, "dropped"},
                                                            {report.discarded + report.unscored, "discarded"},
                                                            {report.forgotten, "forgotten before"}};
    for (const auto& [count, what] : counts)
      if (count > 0) text += fmt::format(", {} {}", format_count(count), what);
  }
  if (report.model && report.model->summaries > 0)
    text += fmt::format("; {} {} summarised", format_count(report.model->summaries),
                        report.model->summaries == 1 ? "session" : "sessions");
  if (report.waiting > 0) text += fmt::format("; {} wait for their day to end", format_count(report.waiting));
  if (report.later > 0) text += fmt::format("; {} of later times", format_count(report.later));
  return text + "\n";
}

}  // namespace reef::memory
