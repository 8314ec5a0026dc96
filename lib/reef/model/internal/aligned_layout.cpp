#include "reef/model/internal/aligned_layout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "reef/core/error.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model::internal {
namespace {

constexpr std::uint64_t kLengthBytes = 8;

std::uint64_t element_bytes(const Tensor& tensor) { return std::max(dtype_bits(tensor.dtype) / 8, 1U); }

/// The largest power of two that divides the tensor's bytes, `alignment` at most.
std::uint64_t divisor(const Tensor& tensor, std::uint64_t alignment) {
  const std::uint64_t bytes = tensor.bytes();
  return bytes == 0 ? alignment : std::min(bytes & (~bytes + 1), alignment);
}

std::string header_text(const SafetensorsHeader& header, const std::vector<std::uint32_t>& order,
                        const std::vector<std::uint64_t>& begins) {
  std::string json = "{";
  const char* comma = "";
  if (header.has_metadata) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : header.metadata) {
      json += fmt::format("{}{}:{}", comma, json_string(key), json_string(value));
      comma = ",";
    }
    json += '}';
    comma = ",";
  }
  for (const std::uint32_t i : order) {
    const Tensor& tensor = header.tensors[i];
    json += fmt::format(R"({}{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", comma, json_string(tensor.name),
                        dtype_name(tensor.dtype), fmt::join(tensor.shape, ","), begins[i], begins[i] + tensor.bytes());
    comma = ",";
  }
  return json + '}';
}

}  // namespace

AlignedLayout align_layout(const SafetensorsHeader& header, std::uint64_t alignment, const std::string& file) {
  const std::vector<Tensor>& tensors = header.tensors;
  AlignedLayout layout;
  layout.moves_data = header.data_offset % alignment != 0;
  layout.moves_tensors =
      std::any_of(tensors.begin(), tensors.end(), [](const Tensor& t) { return t.begin % element_bytes(t) != 0; });
  std::vector<std::uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0U);
  if (layout.moves_tensors) {
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return divisor(tensors[a], alignment) > divisor(tensors[b], alignment);
    });
  }
  layout.begins.resize(tensors.size());
  std::uint64_t at = 0;
  for (const std::uint32_t i : order) {
    layout.begins[i] = at;
    at += tensors[i].bytes();
  }
  std::string json = header_text(header, order, layout.begins);
  json.resize((kLengthBytes + json.size() + alignment - 1) / alignment * alignment - kLengthBytes, ' ');
  if (json.size() > kMaxSafetensorsHeader)
    throw Error(
        Errc::usage,
        fmt::format("{}: its header would have {} bytes, the limit is {}", file, json.size(), kMaxSafetensorsHeader),
        "choose a smaller alignment");
  for (std::size_t i = 0; i < kLengthBytes; ++i) layout.head += static_cast<char>(json.size() >> 8 * i & 0xFF);
  layout.head += json;
  return layout;
}

}  // namespace reef::model::internal
