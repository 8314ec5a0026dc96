#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "reef/model/manifest.h"
#include "reef/tree/tree.h"

namespace reef::model::internal {

/// The parts of "adapters/alice"; without a kind for "alice". Throws Error{usage} for what is no name of a model.
struct ModelName {
  std::optional<Kind> kind{};
  std::string name;
};
ModelName parse_model_name(const std::string& text);

/// The folder below models/ of that name; nullopt when there is none.
std::optional<std::filesystem::path> present_folder(const tree::Tree& tree, const ModelName& name);

/// What is wrong with a model's folder, as far as looking at names and sizes tells; empty: nothing. Fills `manifest`.
std::string visible_fault(const std::filesystem::path& folder, Manifest& manifest);

}  // namespace reef::model::internal
