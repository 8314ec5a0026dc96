// Scores turns of conversations as reef-memory does: JSON lines on stdin, one JSON line for each on stdout.
//
//   bench_importance <turns.jsonl    {"id","scope","session","speaker","content","created_at"[,"nearest"]}
//
// A scope is one persona; its turns come in their order. "kept": remembered at once, or a day later.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reef/core/time.h"
#include "reef/memory/importance.h"

namespace {

using namespace reef;
using nlohmann::json;

struct Line {
  json answer;
  Time created{};
  memory::Scored scored;
  int mentions = 0;
};

struct Persona {
  memory::Importance importance{memory::ImportanceOptions{}};
  std::vector<Line> lines;
  std::map<std::string, std::pair<std::string, std::string>> last{};  ///< by session: speaker and text
};

std::size_t shared(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  std::vector<std::uint64_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both.size();
}

}  // namespace

int main() {
  const memory::ImportanceOptions options;
  std::map<std::string, Persona> personas;
  std::vector<std::string> scopes;
  for (std::string line; std::getline(std::cin, line);) {
    const json turn = json::parse(line);
    const auto text = [&](const char* key) {
      return turn[key].is_string() ? turn[key].get<std::string>() : turn[key].dump();
    };
    const std::string scope = text("scope"), session = text("session"), speaker = text("speaker"),
                      content = text("content");
    if (!personas.contains(scope)) scopes.push_back(scope);
    Persona& persona = personas[scope];
    std::optional<memory::Turn> previous;
    if (const auto last = persona.last.find(session); last != persona.last.end())
      previous = memory::Turn{last->second.first, last->second.second};
    Line now{{},
             parse_time(text("created_at")),
             persona.importance.score({speaker, content}, turn.value("nearest", 0.0), previous),
             0};
    persona.last[session] = {speaker, content};
    for (auto before = persona.lines.rbegin(); before != persona.lines.rend(); ++before) {
      if (now.created - before->created > std::chrono::hours(24)) break;
      if (shared(now.scored.rare, before->scored.words) >= 2) ++before->mentions;
    }
    const memory::Terms& terms = now.scored.terms;
    now.answer = {{"id", text("id")},           {"logit", now.scored.logit},
                  {"shift", now.scored.shift},  {"score", now.scored.score},
                  {"emotion", terms.emotion},   {"request", terms.request},
                  {"asked", terms.asked},       {"novelty", terms.novelty},
                  {"nearest", terms.nearest},   {"reference", terms.reference},
                  {"personal", terms.personal}, {"answer", terms.answer},
                  {"question", terms.question}, {"greeting", terms.greeting}};
    for (const text::Name& name : now.scored.names) now.answer["names"].push_back(name.written);
    persona.lines.push_back(std::move(now));
  }
  for (const std::string& scope : scopes)
    for (Line& line : personas[scope].lines) {
      const double score = line.scored.score;
      const bool kept = score > options.remember ||
                        (score >= options.discard && memory::second_score(score, line.mentions) >= options.second);
      line.answer["mentions"] = line.mentions;
      line.answer["kept"] = kept;
      std::puts(line.answer.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    }
}
