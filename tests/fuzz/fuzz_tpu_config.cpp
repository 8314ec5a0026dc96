// Any bytes are either a configuration whose segments lie in the model's folder, or Error{corrupt}.
#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "reef/core/error.h"
#include "reef/model/layer_order.h"
#include "reef/model/tpu_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reef;
  const auto require = [](bool truth) {
    if (!truth) std::abort();
  };
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const model::TpuConfig config = model::parse_tpu_config(text, "input");
    for (const model::TpuSegment& segment : config.segments) {
      const std::filesystem::path path("/model/" + segment.file);
      require(path.lexically_normal() == path && path.native().starts_with("/model/"));
      static_cast<void>(config.sram_of(segment));
    }
    for (const std::string& pattern : config.layer_patterns)
      require(pattern.find(model::kLayerPlace) != std::string::npos);
    // Any name is either in a layer of a stack that it begins with, or in none.
    if (const auto layer = model::layer_of(text, config.layer_patterns)) require(text.starts_with(layer->prefix));
  } catch (const Error& e) {
    require(e.code() == Errc::corrupt);
  }
  return 0;
}
