#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace reef::backup::internal {

/// What the file kDestinationMarker says (destination.h owns its format).
struct Marker {
  int tier = 0;
  std::string id;
  std::string host;
  std::string tree;
};

/// nullopt where there is none. Throws Error{corrupt} for a damaged one, Error{usage} for one of a newer version.
std::optional<Marker> read_marker(const std::filesystem::path& folder);
void write_marker(const std::filesystem::path& folder, const Marker& marker);

/// 16 hex digits that nothing else has.
std::string new_id();
/// The name of this machine.
std::string host_name();

}  // namespace reef::backup::internal
