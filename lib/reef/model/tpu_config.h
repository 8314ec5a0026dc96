#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reef::model {

inline constexpr std::string_view kTpuConfigFile = "tpu_config.json";
/// What an Edge TPU keeps of parameters on the chip.
inline constexpr std::uint64_t kEdgeTpuSramBytes = 8 << 20;

/// A part of a model, compiled for one Edge TPU.
struct TpuSegment {
  std::string file;      ///< relative to the model's folder
  std::string sha256{};  ///< 64 lower-case hexadecimal digits; empty: not given
  std::optional<std::uint64_t> parameter_bytes{};
  std::optional<std::uint64_t> on_chip_bytes{};  ///< as the compiler reports them
  std::optional<std::uint64_t> off_chip_bytes{};
  std::string caching_token{};                ///< segments compiled together have the same
  std::string device{};                       ///< that runs it; empty: any
  std::optional<std::uint64_t> sram_bytes{};  ///< of that device
};
struct TpuDevice {
  std::string name;
  std::uint64_t sram_bytes = kEdgeTpuSramBytes;
};
struct TpuQuantization {
  double scale = 0;
  std::int64_t zero_point = 0;
};
struct TpuTensor {
  std::string name;
  std::string dtype{};
  std::vector<std::uint64_t> shape{};
  std::optional<TpuQuantization> quantization{};
};

/// tpu_config.json: what a runtime of Edge TPUs needs to know of a model.
struct TpuConfig {
  std::string runtime_version;
  std::string compiler_version;
  std::vector<TpuSegment> segments;  ///< in the order of the pipeline
  std::vector<TpuDevice> devices;
  std::vector<TpuTensor> inputs;
  std::vector<TpuTensor> outputs;
  std::optional<std::uint64_t> queue_size;
  std::vector<std::string> layer_patterns;  ///< for layer_of()

  /// What its device has for parameters: as the segment says, else the device of that name, else an Edge TPU.
  std::uint64_t sram_of(const TpuSegment& segment) const;
};

/// Throws Error{corrupt} naming byte and rule; unknown keys are skipped. `file` stands in messages.
TpuConfig parse_tpu_config(std::string_view json, const std::string& file);
/// `folder`/tpu_config.json. nullopt when there is none.
std::optional<TpuConfig> read_tpu_config(const std::filesystem::path& folder);

enum class SegmentFault { none, missing, too_large };

/// A segment against the disk and the device.
struct SegmentCheck {
  TpuSegment segment;
  std::uint64_t file_bytes = 0;
  std::uint64_t parameter_bytes = 0;  ///< as given, else on and off chip together, else the whole file
  std::uint64_t sram_bytes = 0;
  SegmentFault fault = SegmentFault::none;
};
/// Looks at sizes only.
std::vector<SegmentCheck> check_segments(const std::filesystem::path& folder, const TpuConfig& config);

}  // namespace reef::model
