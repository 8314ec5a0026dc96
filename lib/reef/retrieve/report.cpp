#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
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

Json result_json(const Result& result) {
  const Passage& passage = result.passage;
  Json out{{"rank", result.rank}, {"id", passage.id}, {"layer", result.layer}, {"score", result.score}};
  out["dense"] = result.cosine ? Json(*result.cosine) : Json(nullptr);
  out["bm25"] = result.bm25;
  out["title"] = passage.title;
  out["heading"] = passage.heading_path;
  out["text"] = passage.text;
  out["document"] = document_of(passage);
  out["memory"] = nullptr;
  out["created"] = passage.created.empty() ? Json(nullptr) : Json(passage.created);
  return out;
}

/// The beginning of a passage on one line.
std::string excerpt(std::string_view text, std::size_t width) {
  std::string line;
  for (const char c : text.substr(0, 4 * width)) {
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!space)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  return ellipsis(printable(line), width);
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
    text += fmt::format("    {}\n", excerpt(result.passage.text, 160));
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

}  // namespace reef::retrieve
