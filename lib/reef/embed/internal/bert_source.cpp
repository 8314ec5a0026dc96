#include "reef/embed/internal/bert_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>

#include "reef/core/error.h"
#include "reef/embed/internal/network.h"
#include "reef/io/file.h"

namespace reef::embed::internal {
namespace {

using nlohmann::json;

constexpr float kLargestWeight = 1e6F;
constexpr const char* kSupported = "reef computes BERT encoders with WordPiece, such as all-MiniLM, bge and e5";

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  throw Error(Errc::corrupt, fmt::format("{}: {}", file, why), kSupported);
}

std::size_t count_of(const json& config, const char* key, std::size_t low, std::size_t high, const std::string& file) {
  const auto at = config.find(key);
  if (at == config.end()) refuse(file, fmt::format("'{}' is missing", key));
  if (!at->is_number_unsigned() || at->get<std::uint64_t>() < low || at->get<std::uint64_t>() > high) {
    refuse(file, fmt::format("'{}' is not a whole number from {} to {}", key, low, high));
  }
  return at->get<std::size_t>();
}

/// A key that decides how the model computes: absent, or one of the values that are computed here.
void require_choice(const json& config, const char* key, std::initializer_list<std::string_view> allowed,
                    const std::string& file) {
  const auto at = config.find(key);
  if (at == config.end() || at->is_null()) return;
  const std::string value = at->is_string() ? at->get<std::string>() : at->dump();
  for (const std::string_view one : allowed) {
    if (value == one) return;
  }
  refuse(file, fmt::format("'{}' is '{}', not '{}'", key, value, *allowed.begin()));
}

void require_width(std::size_t width, const char* key, const std::string& file) {
  if (width % 16 != 0) refuse(file, fmt::format("'{}' is {}, no multiple of 16", key, width));
}

/// IEEE 754 half precision, subnormals included.
float from_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 31U;
  const std::uint32_t fraction = half & 0x3ffU;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U | fraction << 13);
  if (exponent == 0) {
    const float size = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -size : size;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

float from_bfloat(std::uint16_t value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16); }

std::string shape_text(std::span<const std::uint64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace

BertConfig read_bert_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  const std::string file = io::shown(path);
  const json config = json::parse(io::read_file(path, 1U << 24), nullptr, false);
  if (!config.is_object()) refuse(file, "not a JSON object");
  require_choice(config, "model_type", {"bert"}, file);
  require_choice(config, "hidden_act", {"gelu"}, file);
  require_choice(config, "position_embedding_type", {"absolute"}, file);
  BertConfig result;
  result.layers = count_of(config, "num_hidden_layers", 1, 1024, file);
  result.hidden = count_of(config, "hidden_size", 16, 16384, file);
  result.heads = count_of(config, "num_attention_heads", 1, 1024, file);
  result.ffn = count_of(config, "intermediate_size", 16, kWidestInput, file);
  result.words = count_of(config, "vocab_size", 1, 1U << 24, file);
  result.positions = count_of(config, "max_position_embeddings", 2, 1U << 20, file);
  require_width(result.hidden, "hidden_size", file);
  require_width(result.ffn, "intermediate_size", file);
  if (result.hidden % result.heads != 0) {
    refuse(file,
           fmt::format("'hidden_size' {} is no multiple of 'num_attention_heads' {}", result.hidden, result.heads));
  }
  if (result.heads * round_up(result.hidden / result.heads, kHeadStep) > kWidestInput) {
    refuse(file, fmt::format("'num_attention_heads' is {}, too many to compute", result.heads));
  }
  const auto epsilon = config.find("layer_norm_eps");
  result.epsilon = 1e-12F;  // BERT's own, where the file is silent
  if (epsilon != config.end()) {
    if (!epsilon->is_number() || !(epsilon->get<double>() >= 1e-30 && epsilon->get<double>() < 1)) {
      refuse(file, "'layer_norm_eps' is not between 1e-30 and 1");
    }
    result.epsilon = epsilon->get<float>();
  }
  return result;
}

BertWeights::BertWeights(const std::filesystem::path& folder) : file_(folder / "model.safetensors") {}

std::vector<float> BertWeights::vector(const std::string& name, std::size_t size) const {
  return values(require(name, std::array<std::uint64_t, 1>{size}), 0, size);
}

std::vector<float> BertWeights::rows(const std::string& name, std::size_t rows, std::size_t columns, std::size_t first,
                                     std::size_t count) const {
  return values(require(name, std::array<std::uint64_t, 2>{rows, columns}), first * columns, count * columns);
}

std::vector<float> BertWeights::token_type(std::size_t hidden) const {
  const std::string name = "embeddings.token_type_embeddings.weight";
  const model::Tensor* tensor = find(name);
  const std::size_t types = tensor != nullptr && tensor->shape.size() == 2 ? tensor->shape[0] : 1;
  return rows(name, std::max<std::size_t>(types, 1), hidden, 0, 1);
}

const model::Tensor* BertWeights::find(const std::string& name) const {
  const model::Tensor* tensor = file_.find(name);
  return tensor != nullptr ? tensor : file_.find("bert." + name);
}

const model::Tensor& BertWeights::require(const std::string& name, std::span<const std::uint64_t> shape) const {
  const model::Tensor* tensor = find(name);
  if (tensor == nullptr) refuse(path(), fmt::format("there is no tensor '{}', nor one with 'bert.' before it", name));
  if (!std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end())) {
    refuse(path(), fmt::format("tensor '{}' has shape {}, config.json asks for {}", tensor->name,
                               shape_text(tensor->shape), shape_text(shape)));
  }
  return *tensor;
}

std::vector<float> BertWeights::values(const model::Tensor& tensor, std::size_t first, std::size_t count) const {
  std::vector<float> result(count);
  const std::uint8_t* bytes = file_.bytes(tensor).data();
  if (tensor.dtype == model::Dtype::kF32) {
    std::memcpy(result.data(), bytes + first * sizeof(float), count * sizeof(float));
  } else if (tensor.dtype == model::Dtype::kF16 || tensor.dtype == model::Dtype::kBf16) {
    const bool half = tensor.dtype == model::Dtype::kF16;
    for (std::size_t i = 0; i < count; ++i) {
      std::uint16_t value = 0;
      std::memcpy(&value, bytes + (first + i) * sizeof value, sizeof value);
      result[i] = half ? from_half(value) : from_bfloat(value);
    }
  } else {
    refuse(path(),
           fmt::format("tensor '{}' is {}, not F32, F16 or BF16", tensor.name, model::dtype_name(tensor.dtype)));
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (!(std::fabs(result[i]) <= kLargestWeight)) {
      refuse(path(), fmt::format("tensor '{}' holds {} at element {}: no weight of an encoder", tensor.name, result[i],
                                 first + i));
    }
  }
  return result;
}

}  // namespace reef::embed::internal
