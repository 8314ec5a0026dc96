#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "reef/model/safetensors.h"

namespace reef::model::internal {

inline constexpr std::string_view kShardIndexFile = "model.safetensors.index.json";

bool is_safetensors(std::string_view path);

/// The headers of the safetensors files among `paths` (relative to `folder`), and the shard index
/// checked against them where there is one. Throws Error{corrupt}.
std::vector<std::pair<std::string, SafetensorsHeader>> read_weights(const std::filesystem::path& folder,
                                                                    const std::vector<std::string>& paths);

}  // namespace reef::model::internal
