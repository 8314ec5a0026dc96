#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/recover/plan.h"
#include "reef/tree/tree.h"

namespace reef::recover::internal {

/// Rows of one of the tree's databases that are newer than the snapshot: `sql` counts them, given the time as ?1 and,
/// unless it is empty, the persona as ?2. A database that is not there has none.
Loss newer(const std::string& what, const std::filesystem::path& database, const std::string& sql,
           const std::string& persona, const std::string& since);

/// What the last drill of that tier says of so many bytes.
std::optional<std::chrono::milliseconds> expected(const tree::Tree& tree, int tier, std::uint64_t bytes);

std::string command_line(const std::vector<std::string>& argv);

}  // namespace reef::recover::internal
