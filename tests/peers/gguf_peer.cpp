// What tests/peers/gguf_package.py compares: GGUF headers as reef reads them.
//
//   gguf_peer --types    every tensor type: {"name": {"number": …, "elements": …, "bytes": …}, …}
//   gguf_peer < PATHS    for each line a path, a line of JSON: the header, or {"error": message}
#include <fmt/format.h>

#include <iostream>
#include <string>
#include <string_view>

#include "reef/core/error.h"
#include "reef/core/json.h"
#include "reef/model/gguf.h"

namespace {

using namespace reef;
using nlohmann::ordered_json;

ordered_json types_json() {
  ordered_json types;
  for (std::uint32_t number = 0; number <= static_cast<std::uint32_t>(model::GgmlType::kQ2_0); ++number) {
    const auto type = static_cast<model::GgmlType>(number);
    const model::GgmlBlock block = model::ggml_block(type);
    if (block.elements == 0) continue;  // removed from ggml
    types[std::string(model::ggml_type_name(type))] = {
        {"number", number}, {"elements", block.elements}, {"bytes", block.bytes}};
  }
  return types;
}

ordered_json header_json(const model::GgufHeader& header) {
  ordered_json json{{"version", header.version},
                    {"alignment", header.alignment},
                    {"data_offset", header.data_offset},
                    {"data_bytes", header.data_bytes},
                    {"trailing_bytes", header.trailing_bytes}};
  json["metadata"] = ordered_json::array();
  for (const auto& [key, value] : header.metadata) {
    ordered_json entry{{"key", key}, {"type", model::gguf_type_name(value.type)}, {"text", value.to_text()}};
    if (const auto* array = std::get_if<model::GgufArray>(&value.value)) {
      entry["element"] = model::gguf_type_name(array->element);
      entry["count"] = array->count;
      entry["begin"] = array->begin;
      entry["end"] = array->end;
    }
    json["metadata"].push_back(std::move(entry));
  }
  json["tensors"] = ordered_json::array();
  for (const model::GgufTensor& tensor : header.tensors) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"type", model::ggml_type_name(tensor.type)},
                               {"shape", tensor.shape},
                               {"begin", header.data_offset + tensor.begin},
                               {"end", header.data_offset + tensor.end}});
  }
  return json;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--types") {
    fmt::print("{}\n", dump(types_json()));
    return 0;
  }
  for (std::string path; std::getline(std::cin, path);) {
    try {
      fmt::print("{}\n", dump(header_json(model::GgufFile(path).header())));
    } catch (const Error& e) {
      fmt::print("{}\n", dump({{"error", e.what()}}));
    }
  }
  return 0;
}
