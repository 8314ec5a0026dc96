#include "reef/memory/internal/relationships.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "reef/core/json.h"
#include "reef/memory/store.h"

namespace reef::memory::internal {
namespace {

std::string quoted(std::string_view text) { return dump(nlohmann::ordered_json(std::string(text))); }

/// A weight of 0 to 1, to four digits.
std::string weight_text(double value) {
  std::string text = fmt::format("{}", std::round(value * 1e4) / 1e4);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace

/// Written piece by piece: a tree of JSON values of a hundred thousand memories takes seconds.
std::string relationships_json(io::Database& memories) {
  std::string text = R"({"schema":"reef.memory.relationships/1","entities":[)";
  const auto out = std::back_inserter(text);
  const char* comma = "";
  std::map<std::int64_t, std::int64_t> mentions;
  auto entity = memories.prepare(
      "SELECT e.id, e.name, e.kind, count(*) FROM entities e JOIN memory_entities m ON m.entity = e.id "
      "GROUP BY e.id ORDER BY e.id");
  while (entity.step()) {
    mentions[entity.integer(0)] = entity.integer(3);
    fmt::format_to(out, R"({}{{"id":{},"name":{},"kind":{},"mentions":{}}})", comma, entity.integer(0),
                   quoted(entity.text(1)), quoted(entity.text(2)), entity.integer(3));
    comma = ",";
  }
  text += R"(],"relations":[)";
  comma = "";
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<std::int64_t>> together;
  auto pair = memories.prepare(
      "SELECT a.entity, b.entity, a.memory FROM memory_entities a JOIN memory_entities b "
      "ON b.memory = a.memory AND b.entity > a.entity ORDER BY a.memory");
  while (pair.step()) together[{pair.integer(0), pair.integer(1)}].push_back(pair.integer(2));
  for (const auto& [both, in] : together) {
    const auto common = static_cast<std::int64_t>(in.size());
    const auto either = mentions[both.first] + mentions[both.second] - common;
    fmt::format_to(out, R"({}{{"from":{},"to":{},"kind":"mentioned_together","weight":{},"memories":[)", comma,
                   both.first, both.second, weight_text(static_cast<double>(common) / static_cast<double>(either)));
    comma = "";
    for (const std::int64_t id : in) fmt::format_to(out, R"({}"{}")", std::exchange(comma, ","), shown_id(id));
    text += "]}";
  }
  text += R"(],"links":[)";
  comma = "";
  auto link = memories.prepare("SELECT memory, other, weight, manual FROM links ORDER BY memory, other");
  while (link.step())
    fmt::format_to(out, R"({}{{"from":"{}","to":"{}","weight":{},"manual":{}}})", std::exchange(comma, ","),
                   shown_id(link.integer(0)), shown_id(link.integer(1)), weight_text(link.real(2)),
                   link.integer(3) != 0);
  return text + "]}\n";
}

}  // namespace reef::memory::internal
