#pragma once

#include <filesystem>
#include <optional>

#include "reef/model/internal/installed_state.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::model::internal {

/// storage.archive, absolute. Throws Error{usage} when the configuration names none or one inside models/,
/// Error{not_found} when it is not there, Error{failed} when it cannot be written to.
std::filesystem::path archive_folder(const tree::Tree& tree, const tree::Config& config);

/// ARCHIVE/models/KIND/NAME, where there is a model of that name with a manifest.
std::optional<std::filesystem::path> place_in_archive(const tree::Tree& tree, const tree::Config& config,
                                                      const ModelName& name);

/// Removes a folder so that it is gone as a whole: a kill leaves what remove_stale() finds beside it.
void remove_folder(const std::filesystem::path& folder);

}  // namespace reef::model::internal
