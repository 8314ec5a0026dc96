#include "reef/memory/internal/relationships.h"

#include <cmath>
#include <map>
#include <vector>

#include "reef/core/json.h"
#include "reef/memory/store.h"

namespace reef::memory::internal {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double value) { return std::round(value * 1e4) / 1e4; }

}  // namespace

std::string relationships_json(io::Database& memories) {
  Json entities = Json::array(), relations = Json::array(), links = Json::array();
  std::map<std::int64_t, std::int64_t> mentions;
  auto entity = memories.prepare(
      "SELECT e.id, e.name, e.kind, count(*) FROM entities e JOIN memory_entities m ON m.entity = e.id "
      "GROUP BY e.id ORDER BY e.id");
  while (entity.step()) {
    mentions[entity.integer(0)] = entity.integer(3);
    entities.push_back({{"id", entity.integer(0)},
                        {"name", std::string(entity.text(1))},
                        {"kind", std::string(entity.text(2))},
                        {"mentions", entity.integer(3)}});
  }
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<std::int64_t>> together;
  auto pair = memories.prepare(
      "SELECT a.entity, b.entity, a.memory FROM memory_entities a JOIN memory_entities b "
      "ON b.memory = a.memory AND b.entity > a.entity ORDER BY a.memory");
  while (pair.step()) together[{pair.integer(0), pair.integer(1)}].push_back(pair.integer(2));
  for (const auto& [both, in] : together) {
    const auto common = static_cast<std::int64_t>(in.size());
    const auto either = mentions[both.first] + mentions[both.second] - common;
    Json ids = Json::array();
    for (const std::int64_t id : in) ids.push_back(shown_id(id));
    relations.push_back({{"from", both.first},
                         {"to", both.second},
                         {"kind", "mentioned_together"},
                         {"weight", rounded(static_cast<double>(common) / static_cast<double>(either))},
                         {"memories", std::move(ids)}});
  }
  auto link = memories.prepare("SELECT memory, other, weight, manual FROM links ORDER BY memory, other");
  while (link.step())
    links.push_back({{"from", shown_id(link.integer(0))},
                     {"to", shown_id(link.integer(1))},
                     {"weight", rounded(link.real(2))},
                     {"manual", link.integer(3) != 0}});
  const Json all = {{"schema", "reef.memory.relationships/1"},
                    {"entities", std::move(entities)},
                    {"relations", std::move(relations)},
                    {"links", std::move(links)}};
  return dump(all) + "\n";
}

}  // namespace reef::memory::internal
