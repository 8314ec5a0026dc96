#include "reef/model/tpu_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/json_scanner.h"
#include "reef/model/internal/model_config.h"
#include "reef/model/layer_order.h"

namespace reef::model {
namespace {

using internal::JsonScanner;
using internal::legible;

/// A file directly in the model's folder or below it, and never outside.
bool is_inside(std::string_view path) {
  if (path.empty() || path.find('\\') != std::string_view::npos || path.find('\0') != std::string_view::npos)
    return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

class ConfigReader {
 public:
  ConfigReader(std::string_view json, const std::string& file) : scanner_(json, file, 0) {}

  TpuConfig read() {
    object([&](const std::string& key) {
      if (key == "runtime_version") return text(config_.runtime_version);
      if (key == "compiler_version") return text(config_.compiler_version);
      if (key == "queue_size") return count(config_.queue_size);
      if (key == "layer_pattern") return layer_patterns();
      if (key == "segments") return list([&] { config_.segments.push_back(segment()); });
      if (key == "inputs") return list([&] { config_.inputs.push_back(tensor()); });
      if (key == "outputs") return list([&] { config_.outputs.push_back(tensor()); });
      if (key == "devices") return list([&] { config_.devices.push_back(device()); });
      scanner_.skip_value();
    });
    scanner_.expect_end();
    return std::move(config_);
  }

 private:
  /// An object whose keys occur once.
  template <class OnKey>
  void object(OnKey on_key) {
    std::set<std::string> seen;
    scanner_.object("an object", [&](const std::string& key, std::size_t at) {
      if (!seen.insert(key).second) scanner_.fail(at, fmt::format("the key '{}' occurs twice", legible(key)));
      on_key(key);
    });
  }
  template <class OnItem>
  void list(OnItem on_item) {
    scanner_.array("an array", on_item);
  }
  void text(std::string& into) { into = scanner_.string("a string"); }
  void count(std::optional<std::uint64_t>& into) { into = scanner_.unsigned_integer("a number of no less than 0"); }

  void layer_patterns() {
    if (scanner_.peek() == '[') return list([&] { layer_pattern(); });
    layer_pattern();
  }
  void layer_pattern() {
    const std::size_t at = (scanner_.peek(), scanner_.position());
    std::string pattern = scanner_.string("a string or an array of strings");
    const std::size_t place = pattern.find(kLayerPlace);
    if (place == std::string::npos || pattern.find(kLayerPlace, place + 1) != std::string::npos)
      scanner_.fail(at, "a layer pattern has one '{}', where the number of the layer stands");
    config_.layer_patterns.push_back(std::move(pattern));
  }

  TpuSegment segment() {
    TpuSegment segment;
    const std::size_t at = (scanner_.peek(), scanner_.position());
    object([&](const std::string& key) {
      if (key == "file") {
        const std::size_t value_at = (scanner_.peek(), scanner_.position());
        text(segment.file);
        if (!is_inside(segment.file)) scanner_.fail(value_at, "a segment is a file in the model's folder");
      } else if (key == "sha256") {
        const std::size_t value_at = (scanner_.peek(), scanner_.position());
        text(segment.sha256);
        if (segment.sha256.size() != 64 || segment.sha256.find_first_not_of("0123456789abcdef") != std::string::npos)
          scanner_.fail(value_at, "a sha256 has 64 lower-case hexadecimal digits");
      } else if (key == "parameter_bytes") {
        count(segment.parameter_bytes);
      } else if (key == "on_chip_bytes") {
        count(segment.on_chip_bytes);
      } else if (key == "off_chip_bytes") {
        count(segment.off_chip_bytes);
      } else if (key == "sram_bytes") {
        count(segment.sram_bytes);
      } else if (key == "caching_token") {
        // The compiler's tokens are numbers of 64 bits, which some write as text.
        if (scanner_.peek() == '"') return text(segment.caching_token);
        segment.caching_token = std::to_string(scanner_.unsigned_integer("a string or a number"));
      } else if (key == "device") {
        text(segment.device);
      } else {
        scanner_.skip_value();
      }
    });
    if (segment.file.empty()) scanner_.fail(at, "a segment without a file");
    return segment;
  }

  TpuDevice device() {
    TpuDevice device;
    const std::size_t at = (scanner_.peek(), scanner_.position());
    object([&](const std::string& key) {
      if (key == "name") return text(device.name);
      if (key != "sram_bytes") return scanner_.skip_value();
      device.sram_bytes = scanner_.unsigned_integer("a number of bytes");
    });
    if (device.name.empty()) scanner_.fail(at, "a device without a name");
    return device;
  }

  TpuTensor tensor() {
    TpuTensor tensor;
    object([&](const std::string& key) {
      if (key == "name") return text(tensor.name);
      if (key == "dtype") return text(tensor.dtype);
      if (key == "shape") return list([&] { tensor.shape.push_back(scanner_.unsigned_integer("a dimension")); });
      if (key != "quantization") return scanner_.skip_value();
      tensor.quantization = quantization();
    });
    return tensor;
  }

  TpuQuantization quantization() {
    TpuQuantization quantization;
    object([&](const std::string& key) {
      if (key == "scale") {
        number(quantization.scale, "a finite number");
      } else if (key == "zero_point") {
        number(quantization.zero_point, "an integer");
      } else {
        scanner_.skip_value();
      }
    });
    return quantization;
  }

  template <typename T>
  void number(T& into, const char* what) {
    const std::size_t at = (scanner_.peek(), scanner_.position());
    const std::string_view digits = scanner_.number(what);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), into);
    if (error != std::errc{} || end != digits.data() + digits.size())
      scanner_.fail(at, fmt::format("{} is not {}", legible(digits), what));
  }

  JsonScanner scanner_;
  TpuConfig config_;
};

}  // namespace

std::uint64_t TpuConfig::sram_of(const TpuSegment& segment) const {
  if (segment.sram_bytes) return *segment.sram_bytes;
  const auto it =
      std::find_if(devices.begin(), devices.end(), [&](const TpuDevice& d) { return d.name == segment.device; });
  return it == devices.end() ? kEdgeTpuSramBytes : it->sram_bytes;
}

TpuConfig parse_tpu_config(std::string_view json, const std::string& file) { return ConfigReader(json, file).read(); }

std::optional<TpuConfig> read_tpu_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kTpuConfigFile;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return parse_tpu_config(io::read_file(path, internal::kMaxConfigBytes), path.string());
}

std::vector<SegmentCheck> check_segments(const std::filesystem::path& folder, const TpuConfig& config) {
  std::vector<SegmentCheck> checks;
  for (const TpuSegment& segment : config.segments) {
    SegmentCheck& check = checks.emplace_back();
    check.segment = segment;
    check.sram_bytes = config.sram_of(segment);
    const std::filesystem::path path = folder / segment.file;
    const bool is_there = std::filesystem::is_regular_file(path);
    if (is_there) check.file_bytes = std::filesystem::file_size(path);
    const std::uint64_t on_chip = segment.on_chip_bytes.value_or(0);
    // Saturating: what a stranger's file says may be anything.
    const std::uint64_t both = on_chip + std::min(segment.off_chip_bytes.value_or(0), UINT64_MAX - on_chip);
    const bool says_both = segment.on_chip_bytes || segment.off_chip_bytes;
    check.parameter_bytes = segment.parameter_bytes ? *segment.parameter_bytes : says_both ? both : check.file_bytes;
    if (!is_there) {
      check.fault = SegmentFault::missing;
    } else if (check.parameter_bytes > check.sram_bytes) {
      check.fault = SegmentFault::too_large;
    }
  }
  return checks;
}

}  // namespace reef::model
