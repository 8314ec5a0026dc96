#include "reef/model/internal/tpu_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"

namespace reef::model::internal {
namespace {

using Json = nlohmann::ordered_json;

std::string_view state_of(const SegmentCheck& check) {
  switch (check.fault) {
    case SegmentFault::none:
      return "fits";
    case SegmentFault::missing:
      return "missing";
    case SegmentFault::too_large:
      break;
  }
  return "too large";
}

Json tensors_json(const std::vector<TpuTensor>& tensors) {
  Json list = Json::array();
  for (const TpuTensor& tensor : tensors) {
    Json quantization = nullptr;
    if (tensor.quantization)
      quantization = {{"scale", tensor.quantization->scale}, {"zero_point", tensor.quantization->zero_point}};
    list.push_back({{"name", text_or_null(tensor.name)},
                    {"dtype", text_or_null(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"quantization", std::move(quantization)}});
  }
  return list;
}

void add_rows(Table& table, std::string_view kind, const std::vector<TpuTensor>& tensors) {
  for (const TpuTensor& tensor : tensors) {
    const auto& q = tensor.quantization;
    table.add({std::string(kind), tensor.name, tensor.dtype, fmt::format("{}", fmt::join(tensor.shape, " x ")),
               q ? fmt::format("scale {}, zero point {}", q->scale, q->zero_point) : ""});
  }
}

}  // namespace

Json tpu_json(const TpuConfig& config, const std::vector<SegmentCheck>& segments) {
  Json list = Json::array();
  for (const SegmentCheck& check : segments) {
    list.push_back({{"file", check.segment.file},
                    {"device", text_or_null(check.segment.device)},
                    {"parameter_bytes", check.parameter_bytes},
                    {"sram_bytes", check.sram_bytes},
                    {"state", state_of(check)}});
  }
  return {{"runtime_version", text_or_null(config.runtime_version)},
          {"compiler_version", text_or_null(config.compiler_version)},
          {"queue_size", config.queue_size ? Json(*config.queue_size) : Json(nullptr)},
          {"segments", std::move(list)},
          {"inputs", tensors_json(config.inputs)},
          {"outputs", tensors_json(config.outputs)}};
}

std::string tpu_line(const TpuConfig& config) {
  std::vector<std::string> parts;
  if (!config.runtime_version.empty()) parts.push_back("runtime " + config.runtime_version);
  if (!config.compiler_version.empty()) parts.push_back("compiler " + config.compiler_version);
  if (config.queue_size) parts.push_back(fmt::format("queue of {}", *config.queue_size));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string tpu_tables(const TpuConfig& config, const std::vector<SegmentCheck>& segments) {
  std::string text;
  if (!segments.empty()) {
    Table table({{"SEGMENT"}, {"PARAMETERS", Align::right}, {"MEMORY", Align::right}, {"STATE"}, {"DEVICE"}});
    for (const SegmentCheck& check : segments)
      table.add({check.segment.file, format_size(check.parameter_bytes), format_size(check.sram_bytes),
                 std::string(state_of(check)), check.segment.device});
    text += "\n" + table.to_text();
  }
  if (!config.inputs.empty() || !config.outputs.empty()) {
    Table table({{""}, {"TENSOR"}, {"DTYPE"}, {"SHAPE"}, {"QUANTISATION"}});
    add_rows(table, "input", config.inputs);
    add_rows(table, "output", config.outputs);
    text += "\n" + table.to_text();
  }
  return text;
}

}  // namespace reef::model::internal
