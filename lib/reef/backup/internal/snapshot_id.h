#pragma once

#include <optional>
#include <string>

#include "reef/core/time.h"

namespace reef::backup::internal {

/// Ids of snapshots: "2026-11-30T041500Z", the time at which one was taken, to the second.
std::string id_of(Time time);
/// nullopt for other names.
std::optional<Time> time_of_id(const std::string& id);
/// The id for a snapshot taken then: that of its time, or of a second after the `newest` where the clock went back.
/// `newest` is empty where there is none.
std::string next_id(Time time, const std::string& newest);

}  // namespace reef::backup::internal
