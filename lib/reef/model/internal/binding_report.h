#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "reef/model/bindings.h"

namespace reef::model::internal {

nlohmann::ordered_json bindings_json(const std::vector<Binding>& bindings);
/// "alice, bob (not bound)": whose adapter it is, and whom its manifest names but personas.yaml does not.
std::string owners(const std::vector<Binding>& bindings, const Manifest& manifest);

}  // namespace reef::model::internal
