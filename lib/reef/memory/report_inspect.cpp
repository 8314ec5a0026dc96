#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/memory/inspect.h"
#include "reef/session/store.h"

namespace reef::memory {
namespace {

using Json = nlohmann::ordered_json;
using session::rfc3339_of;

Json time_or_null(const std::string& time) { return time.empty() ? Json(nullptr) : Json(rfc3339_of(time)); }
Json id_or_null(std::int64_t id) { return id == 0 ? Json(nullptr) : Json(shown_id(id)); }

Json memory_json(const MemoryRow& memory) {
  return {{"id", shown_id(memory.id)},
          {"content", memory.content},
          {"importance", rounded(memory.importance)},
          {"recency", rounded(memory.recency)},
          {"external_ids", memory.external_ids},
          {"external_id", text_or_null(memory.external_id)},
          {"source_session", text_or_null(memory.source_session)},
          {"speaker", text_or_null(memory.speaker)},
          {"created", time_or_null(memory.created)},
          {"valid_to", time_or_null(memory.valid_to)},
          {"superseded_by", id_or_null(memory.superseded_by)},
          {"access_count", memory.access_count},
          {"last_accessed", time_or_null(memory.last_accessed)},
          {"tags", memory.tags}};
}

Json link_json(const MemoryLink& link) {
  return {
      {"id", shown_id(link.id)}, {"weight", rounded(link.weight)}, {"manual", link.manual}, {"content", link.content}};
}

Json schema(const char* name) { return {{"schema", name}}; }

std::string links_text(const std::vector<MemoryLink>& links) {
  constexpr std::size_t kShown = 60;
  Table table({{"link"}, {"weight", Align::right}, {""}, {"content"}});
  for (const MemoryLink& link : links)
    table.add({shown_id(link.id), fmt::format("{:.2f}", link.weight), link.manual ? "made" : "",
               ellipsis(link.content, kShown)});
  return table.to_text();
}

}  // namespace

std::string to_json(const MemoryRow& memory) {
  Json line = schema("reef.memory.list/1");
  line.update(memory_json(memory));
  return dump(line);
}

std::string to_text(const std::vector<MemoryRow>& memories) {
  constexpr std::size_t kShown = 80;
  Table table({{"id"}, {"importance", Align::right}, {"recency", Align::right}, {"created"}, {"content"}});
  for (const MemoryRow& memory : memories) {
    std::string content = ellipsis(memory.content, kShown);
    if (memory.superseded_by > 0)
      content += fmt::format(" (until {}: {})", memory.valid_to.substr(0, 10), shown_id(memory.superseded_by));
    table.add({shown_id(memory.id), fmt::format("{:.2f}", memory.importance), fmt::format("{:.2f}", memory.recency),
               memory.created.substr(0, 10), std::move(content)});
  }
  return table.to_text();
}

std::string to_json(const LinkList& links) {
  Json list = Json::array();
  for (const MemoryLink& link : links.links) list.push_back(link_json(link));
  return dump(Json{{"schema", "reef.memory.link/1"}, {"id", shown_id(links.id)}, {"links", std::move(list)}});
}

std::string to_text(const LinkList& links) {
  return links.links.empty() ? fmt::format("{} has no links\n", shown_id(links.id)) : links_text(links.links);
}

std::string to_json(const LinkReport& report) {
  return dump(Json{{"schema", "reef.memory.link/1"},
                   {"id", shown_id(report.from)},
                   {"other", shown_id(report.to)},
                   {"changed", report.changed}});
}

std::string to_text(const LinkReport& report) {
  return report.changed ? fmt::format("{} and {} are linked\n", shown_id(report.from), shown_id(report.to))
                        : fmt::format("already so; {} and {} are linked\n", shown_id(report.from), shown_id(report.to));
}

std::string to_json(const MemoryDetail& detail) {
  Json sources = Json::array(), decisions = Json::array(), entities = Json::array(), links = Json::array(),
       history = Json::array();
  for (const MemorySource& source : detail.sources)
    sources.push_back({{"message", source.message},
                       {"session", source.session},
                       {"external_id", text_or_null(source.external_id)},
                       {"speaker", text_or_null(source.speaker)},
                       {"created", time_or_null(source.created)}});
  for (const Decision& decision : detail.decisions) {
    Json terms = Json::array();
    for (const Term& term : terms_of(decision, detail.weights))
      terms.push_back({{"term", term.name},
                       {"value", rounded(term.value)},
                       {"weight", rounded(term.weight)},
                       {"adds", rounded(term.adds())}});
    decisions.push_back(
        {{"message", decision.message},
         {"state", decision.state},
         {"score", rounded(decision.score)},
         {"logit", rounded(decision.logit)},
         {"shift", rounded(decision.shift)},
         {"terms", std::move(terms)},
         {"mentions", decision.mentions},
         {"second_score", decision.second_score ? Json(rounded(*decision.second_score)) : Json(nullptr)},
         {"language_model", decision.model.empty() ? Json(nullptr)
                                                   : Json{{"model", decision.model},
                                                          {"score", rounded(decision.model_score)},
                                                          {"adds", rounded(model_term(decision.model_score))},
                                                          {"reason", text_or_null(decision.model_reason)}}},
         {"decided", time_or_null(decision.decided_at)}});
  }
  for (const Entity& entity : detail.entities) entities.push_back({{"name", entity.name}, {"kind", entity.kind}});
  for (const MemoryLink& link : detail.links) links.push_back(link_json(link));
  for (const Version& version : detail.history)
    history.push_back({{"id", shown_id(version.id)},
                       {"content", version.content},
                       {"created", time_or_null(version.created)},
                       {"valid_to", time_or_null(version.valid_to)}});
  Json json = schema("reef.memory.show/1");
  json.update(memory_json(detail.memory));
  json["vector"] = detail.memory.has_vector;
  json["valence"] = detail.valence ? Json(rounded(*detail.valence)) : Json(nullptr);
  json["arousal"] = detail.arousal ? Json(rounded(*detail.arousal)) : Json(nullptr);
  json["sources"] = std::move(sources);
  json["decisions"] = std::move(decisions);
  json["entities"] = std::move(entities);
  json["links"] = std::move(links);
  json["history"] = std::move(history);
  return dump(json);
}

namespace {

std::string decision_text(const Decision& decision, const ImportanceOptions& weights) {
  std::string text = fmt::format("message {}: {}, score {:.2f}", decision.message, decision.state, decision.score);
  if (decision.second_score)
    text +=
        fmt::format(", after a day {:.2f} with {}", *decision.second_score,
                    decision.mentions == 1 ? std::string("1 mention") : fmt::format("{} mentions", decision.mentions));
  text += '\n';
  if (!decision.model.empty())
    text += fmt::format("  {} gave it {:.2f}, which adds {:+.2f}{}\n", printable(decision.model), decision.model_score,
                        model_term(decision.model_score),
                        decision.model_reason.empty() ? "" : ": " + printable(decision.model_reason));
  Table table({{"  term"}, {"value", Align::right}, {"weight", Align::right}, {"adds", Align::right}});
  double sum = 0;
  for (const Term& term : terms_of(decision, weights)) {
    sum += term.adds();
    table.add({fmt::format("  {}", term.name), fmt::format("{:.2f}", term.value), fmt::format("{:.2f}", term.weight),
               fmt::format("{:+.2f}", term.adds())});
  }
  text += table.to_text();
  text += fmt::format("  sum {:.2f}, shifted by {:.2f}: score = 1 / (1 + exp({:.2f}))\n", decision.logit,
                      0 - decision.shift, decision.shift - decision.logit);
  if (std::abs(sum - decision.logit) > .01)
    text += fmt::format("  by other weights than those of now, which would make it {:.2f}\n", sum);
  return text;
}

std::string said_by(const MemorySource& source) {
  std::string text = fmt::format("message {} of session {}", source.message, source.session);
  if (!source.external_id.empty()) text += fmt::format(" ({})", source.external_id);
  if (!source.speaker.empty()) text += fmt::format(", {}", source.speaker);
  return text + fmt::format(", {}", rfc3339_of(source.created));
}

}  // namespace

std::string to_text(const MemoryDetail& detail) {
  const MemoryRow& memory = detail.memory;
  std::string text = printable(memory.content, true) + "\n\n";
  Table table({{""}, {""}});
  table.add({"id", shown_id(memory.id)});
  if (!memory.speaker.empty()) table.add({"speaker", memory.speaker});
  table.add({"importance", fmt::format("{:.2f}", memory.importance)});
  table.add({"recency", fmt::format("{:.2f}", memory.recency)});
  table.add({"created", rfc3339_of(memory.created)});
  if (memory.superseded_by > 0)
    table.add({"superseded", fmt::format("by {}, {}", shown_id(memory.superseded_by), rfc3339_of(memory.valid_to))});
  table.add({"accesses", memory.access_count == 0
                             ? "0"
                             : fmt::format("{}, the last {}", memory.access_count, rfc3339_of(memory.last_accessed))});
  if (!memory.tags.empty()) table.add({"tags", fmt::format("{}", fmt::join(memory.tags, ", "))});
  if (detail.valence)
    table.add({"feeling", fmt::format("valence {:+.2f}, arousal {:.2f}", *detail.valence,
                                      detail.arousal.value_or(std::abs(*detail.valence)))});
  for (const Entity& entity : detail.entities) table.add({"names", fmt::format("{} ({})", entity.name, entity.kind)});
  for (const MemorySource& source : detail.sources) table.add({"said in", said_by(source)});
  if (detail.sources.empty()) table.add({"said in", "no message: somebody asked to remember it"});
  text += table.to_text();
  for (const Decision& decision : detail.decisions) text += "\n" + decision_text(decision, detail.weights);
  if (!detail.links.empty()) text += "\n" + links_text(detail.links);
  if (!detail.history.empty()) {
    Table history({{"version"}, {"from"}, {"to"}, {"content"}});
    for (const Version& version : detail.history)
      history.add({shown_id(version.id), rfc3339_of(version.created),
                   version.valid_to.empty() ? "now" : rfc3339_of(version.valid_to), ellipsis(version.content, 60)});
    text += "\n" + history.to_text();
  }
  return text;
}

}  // namespace reef::memory
