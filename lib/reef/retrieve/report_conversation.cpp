#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/retrieve/conversation.h"
#include "reef/retrieve/internal/excerpt.h"

namespace reef::retrieve {

std::string to_text(const MessageAnswer& answer) {
  if (answer.results.empty()) return "nothing found\n";
  std::string text;
  for (const MessageResult& result : answer.results) {
    const std::string who = result.speaker.empty() ? result.role : result.speaker;
    text += fmt::format("{:>2}. {} {}  [{}]  {:.3f}\n", result.rank, result.created.substr(0, 16), printable(who),
                        printable(result.session), result.score);
    text += fmt::format("    {}\n", internal::excerpt(result.content, 160));
  }
  return text;
}

std::string to_json(const MessageAnswer& answer) {
  using Json = nlohmann::ordered_json;
  Json results = Json::array();
  for (const MessageResult& result : answer.results) {
    Json out{{"rank", result.rank}, {"score", result.score}};
    out["dense"] = result.cosine ? Json(*result.cosine) : Json(nullptr);
    out["bm25"] = result.bm25;
    out["id"] = result.id;
    out["persona"] = result.persona;
    out["session"] = result.session;
    out["external_id"] = result.external_id;
    out["role"] = result.role;
    out["speaker"] = result.speaker.empty() ? Json(nullptr) : Json(result.speaker);
    out["content"] = result.content;
    out["created"] = result.created;
    results.push_back(std::move(out));
  }
  Json json{{"schema", "reef.session.search/1"}};
  if (!answer.id.empty()) json["id"] = answer.id;
  json["question"] = answer.question;
  json["results"] = std::move(results);
  json["by_words"] = answer.by_words;
  json["elapsed_ms"] = answer.elapsed_ms;
  return dump(json);
}

}  // namespace reef::retrieve
