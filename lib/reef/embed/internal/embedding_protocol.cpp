#include "reef/embed/internal/embedding_protocol.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/core/text.h"

namespace reef::embed::internal {
namespace {

using Json = nlohmann::json;

constexpr double kLargestFloat = std::numeric_limits<float>::max();

[[noreturn]] void refuse(const std::string& service, const std::string& what) {
  throw Error(Errc::corrupt, fmt::format("{}: {}", service, what),
              "the service must answer as OpenAI's /v1/embeddings does; check endpoints.embedding in system.yaml");
}

/// The bytes of standard base64 (RFC 4648, section 4), padding required; nullopt for anything else.
std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  text.remove_suffix(padding);
  std::vector<std::uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<std::uint8_t>(bits >> count));
    }
  }
  return bytes;
}

std::vector<float> vector_of(const Json& entry, const std::string& service) {
  const auto found = entry.find("embedding");
  std::vector<float> values;
  if (found != entry.end() && found->is_array()) {
    values.reserve(found->size());
    for (const Json& number : *found) {
      if (!number.is_number()) refuse(service, "a vector holds something that is no number");
      const double value = number.get<double>();
      if (std::abs(value) > kLargestFloat) refuse(service, "a vector holds a number too large for a float");
      values.push_back(static_cast<float>(value));
    }
  } else if (found != entry.end() && found->is_string()) {
    static_assert(std::endian::native == std::endian::little, "float32 is copied as it was sent");
    const auto bytes = from_base64(found->get_ref<const std::string&>());
    if (!bytes || bytes->size() % sizeof(float) != 0) refuse(service, "a vector is no base64 of float32 values");
    values.resize(bytes->size() / sizeof(float));
    if (!values.empty()) std::memcpy(values.data(), bytes->data(), bytes->size());
  } else {
    refuse(service, "an entry of data has no embedding");
  }
  return values;
}

/// Writes `values` at unit length. The sum is taken in double and in order, so that the same answer
/// gives the same bytes everywhere.
void normalise(const std::vector<float>& values, std::span<float> out, const std::string& service) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * static_cast<double>(value);
  if (!std::isfinite(squares) || squares <= 0) refuse(service, "a vector has no direction (zero, or not finite)");
  const double scale = 1 / std::sqrt(squares);
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = static_cast<float>(static_cast<double>(values[i]) * scale);
}

Json parse(std::string_view answer, const std::string& service) {
  Json document = Json::parse(answer, nullptr, false);
  if (document.is_discarded()) refuse(service, "the answer is no JSON");
  if (!document.is_object() || !document.contains("data") || !document["data"].is_array()) {
    refuse(service, "the answer has no list \"data\"");
  }
  for (const Json& entry : document["data"]) {
    if (!entry.is_object()) refuse(service, "an entry of data is no object");
  }
  return document;
}

}  // namespace

std::size_t batch_size(std::span<const std::string_view> texts) {
  std::size_t count = 0;
  std::size_t bytes = 0;
  while (count < texts.size() && count < kBatchTexts) {
    bytes += texts[count].size();
    if (count > 0 && bytes > kBatchBytes) break;
    ++count;
  }
  return count;
}

std::string request_body(const std::string& model, const std::string& prefix, std::span<const std::string_view> texts) {
  Json input = Json::array();
  for (const std::string_view text : texts) input.push_back(prefix + to_valid_utf8(text));
  const Json body = {{"model", model}, {"input", std::move(input)}, {"encoding_format", "float"}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void read_vectors(std::string_view answer, const std::string& service, std::size_t count, std::size_t dim,
                  std::span<float> out) {
  const Json document = parse(answer, service);
  const Json& data = document["data"];
  if (data.size() != count) refuse(service, fmt::format("{} vectors came for {} texts", data.size(), count));
  std::vector<bool> seen(count);
  for (std::size_t place = 0; place < count; ++place) {
    const Json& entry = data[place];
    std::size_t row = place;
    if (const auto index = entry.find("index"); index != entry.end()) {
      if (!index->is_number_unsigned() || index->get<std::uint64_t>() >= count)
        refuse(service, "an index is out of range");
      row = index->get<std::size_t>();
    }
    if (seen[row]) refuse(service, fmt::format("index {} came twice", row));
    seen[row] = true;
    const std::vector<float> values = vector_of(entry, service);
    if (values.size() != dim) {
      refuse(service, fmt::format("a vector of {} dimensions came where {} are expected", values.size(), dim));
    }
    normalise(values, out.subspan(row * dim, dim), service);
  }
}

std::size_t read_dimension(std::string_view answer, const std::string& service) {
  const Json document = parse(answer, service);
  if (document["data"].empty()) refuse(service, "no vector came");
  const std::size_t dim = vector_of(document["data"][0], service).size();
  if (dim == 0) refuse(service, "the vector is empty");
  return dim;
}

}  // namespace reef::embed::internal
