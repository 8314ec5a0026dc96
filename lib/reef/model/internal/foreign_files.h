#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "reef/model/manifest.h"

namespace reef::model::internal {

/// What lies in a model's folder, is in no manifest and was not left there by a killed run, sorted.
std::vector<std::string> foreign_files(const std::filesystem::path& folder, const Manifest& manifest);

}  // namespace reef::model::internal
