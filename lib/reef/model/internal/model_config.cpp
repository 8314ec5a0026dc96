#include "reef/model/internal/model_config.h"

#include <fmt/format.h>

#include "reef/io/file.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model::internal {
namespace {

/// Models in the wild hold null, lists and floats where a number or text is usual: those count as absent.
std::string text_or_nothing(JsonScanner& scanner) {
  if (scanner.peek() == '"') return scanner.string("a string");
  scanner.skip_value();
  return {};
}

std::optional<std::uint64_t> count_or_nothing(JsonScanner& scanner) {
  const char next = scanner.peek();
  if (next >= '0' && next <= '9') return scanner.unsigned_integer("a number");
  scanner.skip_value();
  return std::nullopt;
}

std::string read_quantization(JsonScanner& scanner) {
  if (scanner.peek() != '{') {
    scanner.skip_value();
    return {};
  }
  std::string method;
  std::optional<std::uint64_t> bits;
  scanner.object("an object", [&](const std::string& key, std::size_t) {
    if (key == "quant_method") {
      method = text_or_nothing(scanner);
    } else if (key == "bits") {
      bits = count_or_nothing(scanner);
    } else {
      scanner.skip_value();
    }
  });
  if (method.empty()) method = "quantised";
  return bits ? fmt::format("{}, {} bits", method, *bits) : method;
}

}  // namespace

ModelConfig read_model_config(const std::filesystem::path& folder) {
  ModelConfig config;
  const std::filesystem::path path = folder / "config.json";
  if (!std::filesystem::exists(path)) return config;
  const std::string json = io::read_file(path, kMaxConfigBytes);
  JsonScanner scanner(json, path.string(), 0);
  scanner.object("'{'", [&](const std::string& key, std::size_t) {
    if (key == "model_type") {
      config.model_type = text_or_nothing(scanner);
    } else if (key == "architectures" && scanner.peek() == '[') {
      scanner.array("an array", [&] {
        std::string name = text_or_nothing(scanner);
        if (config.architecture.empty()) config.architecture = std::move(name);
      });
    } else if (key == "quantization_config") {
      config.quantization = read_quantization(scanner);
    } else if (key == "hidden_size") {
      config.hidden_size = count_or_nothing(scanner);
    } else if (key == "max_position_embeddings") {
      config.max_position_embeddings = count_or_nothing(scanner);
    } else {
      scanner.skip_value();
    }
  });
  scanner.expect_end();
  return config;
}

}  // namespace reef::model::internal
