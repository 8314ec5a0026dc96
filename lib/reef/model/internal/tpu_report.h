#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "reef/model/tpu_config.h"

namespace reef::model::internal {

nlohmann::ordered_json tpu_json(const TpuConfig& config, const std::vector<SegmentCheck>& segments);
/// Versions and queue in one line; empty: the file names none.
std::string tpu_line(const TpuConfig& config);
/// A table of segments, and one of inputs and outputs; empty where there are none.
std::string tpu_tables(const TpuConfig& config, const std::vector<SegmentCheck>& segments);

}  // namespace reef::model::internal
