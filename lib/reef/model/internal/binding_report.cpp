#include "reef/model/internal/binding_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace reef::model::internal {

nlohmann::ordered_json bindings_json(const std::vector<Binding>& bindings) {
  auto json = nlohmann::ordered_json::array();
  for (const Binding& binding : bindings) {
    json.push_back({{"persona", binding.persona},
                    {"key", binding.is_base ? "base" : "adapters"},
                    {"name", binding.name},
                    {"origin", binding.origin}});
  }
  return json;
}

std::string owners(const std::vector<Binding>& bindings, const Manifest& manifest) {
  Manifest unowned;
  unowned.name = manifest.name;
  unowned.kind = manifest.kind;
  const std::vector<std::string> bound = personas_of(bindings, unowned);
  std::vector<std::string> personas = personas_of(bindings, manifest);
  for (std::string& persona : personas)
    if (!std::binary_search(bound.begin(), bound.end(), persona)) persona += " (not bound)";
  return fmt::format("{}", fmt::join(personas, ", "));
}

}  // namespace reef::model::internal
