#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/retrieve/internal/excerpt.h"
#include "reef/retrieve/query.h"

namespace reef::retrieve {
namespace {

using Json = nlohmann::ordered_json;

Json document_of(const Passage& passage) {
  return {{"id", passage.document},
          {"source", passage.source},
          {"page", passage.page},
          {"start", passage.start},
          {"end", passage.end}};
}

Json memory_json(const MemoryFacts& facts) {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  Json out{{"importance", facts.importance}};
  out["speaker"] = text_or_null(facts.speaker);
  out["external_ids"] = facts.external_ids;
  out["external_id"] = facts.external_ids.empty() ? Json(nullptr) : Json(facts.external_ids.front());
  out["source_session"] = text_or_null(facts.source_session);
  out["valid_to"] = text_or_null(facts.valid_to);
  out["superseded_by"] = facts.superseded_by == 0 ? Json(nullptr) : Json(fmt::format("M{}", facts.superseded_by));
  return out;
}

Json result_json(const Result& result) {
  const Passage& passage = result.passage;
  Json out{{"rank", result.rank}, {"id", passage.id}, {"layer", result.layer}, {"score", result.score}};
  out["dense"] = result.cosine ? Json(*result.cosine) : Json(nullptr);
  out["bm25"] = result.bm25;
  out["title"] = passage.title;
  out["heading"] = passage.heading_path;
  out["text"] = passage.text;
  out["document"] = passage.memory ? Json(nullptr) : document_of(passage);
  out["memory"] = passage.memory ? memory_json(*passage.memory) : Json(nullptr);
  out["created"] = passage.created.empty() ? Json(nullptr) : Json(passage.created);
  return out;
}

std::string where(const Passage& passage) {
  std::string text = passage.title.empty() ? passage.document : passage.title;
  if (!passage.heading_path.empty() && passage.heading_path != passage.title) text += " > " + passage.heading_path;
  if (passage.page != 0) text += fmt::format(", page {}", passage.page);
  return printable(text);
}

}  // namespace

std::string to_text(const Answer& answer) {
  if (answer.results.empty()) return "nothing found\n";
  std::string text;
  for (const Result& result : answer.results) {
    text += fmt::format("{:>2}. {}  [{}]  {:.3f} {}\n", result.rank, where(result.passage), result.passage.id,
                        result.score, result.layer);
    text += fmt::format("    {}\n", internal::excerpt(result.passage.text, 160));
    if (result.passage.source != result.passage.title)
      text += fmt::format("    {}\n", printable(result.passage.source));
  }
  return text;
}

std::string to_json(const Answer& answer) {
  Json results = Json::array();
  for (const Result& result : answer.results) results.push_back(result_json(result));
  Json out{{"schema", "reef.index.query/1"}};
  if (!answer.id.empty()) out["id"] = answer.id;
  out["question"] = answer.question;
  out["results"] = std::move(results);
  for (const tree::MissingStore& store : answer.missing) out["missing"].push_back(store.scope);
  out["elapsed_ms"] = answer.elapsed_ms;
  return dump(out);
}

std::string to_text(const Passage& passage) {
  Table table({{""}, {""}});
  table.add({"id", passage.id});
  table.add({"title", passage.title});
  if (!passage.heading_path.empty()) table.add({"heading", passage.heading_path});
  table.add({"document", passage.document});
  table.add({"source", passage.source});
  if (passage.page != 0) table.add({"page", fmt::format("{}", passage.page)});
  table.add({"bytes", fmt::format("{}-{}", passage.start, passage.end)});
  if (!passage.created.empty()) table.add({"created", passage.created});
  return table.to_text() + "\n" + printable(passage.text, true) + "\n";
}

std::string to_json(const Passage& passage) {
  return dump({{"schema", "reef.index.show/1"},
               {"id", passage.id},
               {"scope", passage.scope},
               {"title", passage.title},
               {"heading", passage.heading_path},
               {"text", passage.text},
               {"document", document_of(passage)},
               {"created", passage.created.empty() ? Json(nullptr) : Json(passage.created)}});
}

std::string to_text(const MemoryAnswer& answer) {
  if (answer.answer.results.empty()) return "nothing found\n";
  std::string text;
  for (const Result& result : answer.answer.results) {
    const Passage& passage = result.passage;
    text += fmt::format("{:>2}. [{} {}] {}  {:.3f}", result.rank, passage.id, passage.created.substr(0, 10),
                        printable(passage.title), result.score);
    if (passage.memory && !passage.memory->valid_to.empty())
      text += fmt::format("  (until {}: M{})", passage.memory->valid_to.substr(0, 10), passage.memory->superseded_by);
    text += fmt::format("\n    {}\n", internal::excerpt(passage.text, 160));
  }
  return text;
}

std::string to_json(const MemoryAnswer& answer) {
  Json results = Json::array();
  for (const Result& result : answer.answer.results) {
    const Passage& passage = result.passage;
    Json out{{"rank", result.rank}, {"id", passage.id}, {"score", result.score}};
    out["dense"] = result.cosine ? Json(*result.cosine) : Json(nullptr);
    out["bm25"] = result.bm25;
    out["content"] = passage.text;
    if (passage.memory) out.update(memory_json(*passage.memory));
    out["created"] = passage.created;
    results.push_back(std::move(out));
  }
  Json json{{"schema", "reef.memory.search/1"}};
  if (!answer.answer.id.empty()) json["id"] = answer.answer.id;
  json["question"] = answer.answer.question;
  json["results"] = std::move(results);
  json["elapsed_ms"] = answer.answer.elapsed_ms;
  return dump(json);
}

}  // namespace reef::retrieve
