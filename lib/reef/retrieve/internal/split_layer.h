#pragma once

#include <memory>
#include <vector>

#include "reef/retrieve/layer.h"

namespace reef::retrieve::internal {

/// The layers of a scope's parts as one, which gives what the layer of a store that was never split would give: counts
/// are added up, and candidates merged by score. A search asks all parts at once.
std::unique_ptr<Layer> make_split_layer(std::shared_ptr<ScopeSearch> scope, std::vector<std::unique_ptr<Layer>> layers);

}  // namespace reef::retrieve::internal
